"""Queries on the study database. A fixed number of them for any number of trials and studies."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.study import StudyDirection
from optuna.trial import TrialState as OptunaState
from sqlalchemy import Connection, Row, and_, case, func, select

from hpo_tasks.errors import IntegrityError
from hpo_tasks.spec.model import Objective, Threshold
from hpo_tasks.study import tables
from hpo_tasks.study.records import StudyHeader, StudyRecord, TrialRecord, TrialState


@dataclass(frozen=True, slots=True)
class StoredStudy:
    """A study's primary key and header."""

    row: int
    header: StudyHeader


@dataclass(frozen=True, slots=True)
class StoredTrial:
    """One row of Optuna's trials.

    Attributes:
        row: primary key.
        number: Optuna's trial number.
        state: as stored.
        record: None if it carries no key, so that it is none of ours.
        superseded: it says that another trial has its key.
    """

    row: int
    number: int
    state: TrialState
    record: TrialRecord | None
    superseded: bool


def stored_study(connection: Connection, study: str) -> StoredStudy | None:
    """The study, None if it was never created."""
    rows, attrs = tables.studies, tables.study_user_attributes
    found = connection.execute(
        select(rows.c.study_id, attrs.c.value_json)
        .join(attrs, attrs.c.study_id == rows.c.study_id)
        .where(rows.c.study_name == study, attrs.c.key == tables.HEADER)
    ).one_or_none()
    return None if found is None else StoredStudy(found.study_id, header_from(json.loads(found.value_json)))


def rounds(connection: Connection, row: int) -> dict[int, dict[str, Any]]:
    """What ask noted of each round.

    `opened` (moments), `sampler` (attributes it changed), `exhausted`, and `size`: how many trials it was to create.
    """
    attrs = tables.study_system_attributes
    found = connection.execute(
        select(attrs.c.key, attrs.c.value_json).where(
            attrs.c.study_id == row, attrs.c.key.startswith(tables.ROUND, autoescape=True)
        )
    )
    return {int(key.removeprefix(tables.ROUND)): json.loads(text) for key, text in found}


def stored_trials(
    connection: Connection, study: StoredStudy, *, with_sampler_attrs: bool = False
) -> list[StoredTrial]:
    """All trials of a study by number, superseded and foreign ones included.

    Raises:
        IntegrityError: trials were deleted by hand, so that numbers are missing.
    """
    t = tables.trials
    rows = connection.execute(select(t).where(t.c.study_id == study.row).order_by(t.c.trial_id)).all()
    if [row.number for row in rows] != list(range(len(rows))):
        raise IntegrityError(
            f"study {study.header.study_id}: trials were deleted or renumbered in the study database; restore it, or "
            "start a new study with another `epoch`"
        )
    params = _params(connection, study.row)
    own = _attributes(connection, study.row, tables.trial_user_attributes, "hpo:")
    prefix = "" if with_sampler_attrs else tables.CONSTRAINT
    system = _attributes(connection, study.row, tables.trial_system_attributes, prefix)
    return [
        StoredTrial(
            row=row.trial_id,
            number=row.number,
            state=tables.STATES[row.state],
            record=_record(row, own[row.trial_id], params[row.trial_id], system[row.trial_id])
            if tables.KEY in own[row.trial_id]
            else None,
            superseded=tables.SUPERSEDED in own[row.trial_id],
        )
        for row in rows
    ]


def live(trials: Iterable[StoredTrial]) -> dict[tuple[int, int], StoredTrial]:
    """The trials that count, by key, in key order: of those with the same key the one with the lowest number."""
    found: dict[tuple[int, int], StoredTrial] = {}
    for trial in trials:
        if trial.record is not None and not trial.superseded:
            found.setdefault((trial.record.round, trial.record.slot), trial)
    return dict(sorted(found.items()))


def studies(connection: Connection) -> list[StudyRecord]:
    """All studies that we created, newest first."""
    rows, attrs = tables.studies, tables.study_user_attributes
    noted: dict[int, dict[str, Any]] = defaultdict(dict)
    for row, key, text in connection.execute(
        select(rows.c.study_id, attrs.c.key, attrs.c.value_json)
        .join(attrs, attrs.c.study_id == rows.c.study_id)
        .where(attrs.c.key.in_([tables.HEADER, tables.STATE]))
    ):
        noted[row][key] = json.loads(text)
    counts = _counts(connection)
    best = _best(connection)
    records = [
        study_record(attributes, counts[row], best.get(row))
        for row, attributes in noted.items()
        if tables.HEADER in attributes
    ]
    return sorted(records, key=lambda record: (record.created_at, record.study_id), reverse=True)


def study_record(
    attributes: Mapping[str, Any],
    counts: Mapping[TrialState, int],
    best: tuple[int, float] | None,
    *,
    noted: Mapping[int, Mapping[str, Any]] | None = None,
    exhausted: bool = False,
) -> StudyRecord:
    """A study from its attributes.

    Args:
        attributes: the study's user attributes by key.
        counts: trials by state.
        best: number and value of the best feasible trial by the first objective.
        noted: see `rounds`.
        exhausted: there is no configuration left to try.
    """
    header = header_from(attributes[tables.HEADER])
    state = attributes.get(tables.STATE) or {"state": "running", "reason": "", "at": None}
    single = len(header.objectives) == 1
    return StudyRecord(
        header=header,
        state=state["state"],
        reason=state["reason"],
        created_at=datetime.fromisoformat(attributes[tables.HEADER]["created_at"]),
        ended_at=datetime.fromisoformat(state["at"]) if state["at"] else None,
        counts=counts,
        best_number=best[0] if best and single else None,
        best_value=best[1] if best and single else None,
        exhausted=exhausted,
        openings={
            number: tuple(datetime.fromisoformat(moment) for moment in note["opened"])
            for number, note in (noted or {}).items()
        },
    )


def study_attributes(connection: Connection, row: int) -> dict[str, Any]:
    """The study's user attributes."""
    attrs = tables.study_user_attributes
    found = connection.execute(select(attrs.c.key, attrs.c.value_json).where(attrs.c.study_id == row))
    return {key: json.loads(text) for key, text in found}


def header_to(header: StudyHeader, created_at: str) -> dict[str, Any]:
    """A header as JSON."""
    return {
        "study": header.study_id,
        "name": header.name,
        "dag_id": header.dag_id,
        "run_id": header.run_id,
        "epoch": header.epoch,
        "deployment": header.deployment,
        "identity": header.identity,
        "objectives": [[objective.metric, objective.direction] for objective in header.objectives],
        "thresholds": {name: [bound.min, bound.max] for name, bound in header.thresholds.items()},
        "interval": header.interval and list(header.interval),
        "store": header.store,
        "cloud": header.cloud,
        "created_at": created_at,
    }


def header_from(document: Mapping[str, Any]) -> StudyHeader:
    """A header from its JSON."""
    return StudyHeader(
        study_id=document["study"],
        name=document["name"],
        dag_id=document["dag_id"],
        run_id=document["run_id"],
        epoch=document["epoch"],
        deployment=document["deployment"],
        identity=document["identity"],
        objectives=tuple(Objective(metric=metric, direction=to) for metric, to in document["objectives"]),
        thresholds={
            name: Threshold(min=low, max=high) for name, (low, high) in document["thresholds"].items()
        },
        interval=document["interval"] and tuple(document["interval"]),
        store=document["store"],
        cloud=document.get("cloud"),  # studies from before there were clouds have none
    )


def _record(
    row: Row[Any],
    own: Mapping[str, Any],
    searched: Mapping[str, Any],
    system: Mapping[str, Any],
) -> TrialRecord:
    key, facts = own[tables.KEY], own.get(tables.OUTCOME) or {}
    violations = {
        k.removeprefix(tables.CONSTRAINT): v for k, v in system.items() if k.startswith(tables.CONSTRAINT)
    }
    return TrialRecord(
        number=row.number,
        round=key["round"],
        slot=key["slot"],
        batch=key["of"],
        state=tables.STATES[row.state],
        params={**searched, **key["fixed"]},
        seed=key["seed"],
        source=key["source"],
        values=facts.get("values"),
        metrics=facts.get("metrics", {}),
        violations=violations,
        cls=facts.get("class"),
        reason=facts.get("reason", ""),
        attempt=facts.get("attempt", 0),
        attempts=facts.get("attempts", 0),
        asked_at=_utc(row.datetime_start),
        recorded_at=_utc(row.datetime_complete),
        started_at=_moment(facts.get("started_at")),
        ended_at=_moment(facts.get("ended_at")),
        duration_s=facts.get("duration_s"),
        exit_code=facts.get("exit_code"),
        peak_memory_bytes=facts.get("peak_memory_bytes", 0),
        provenance=facts.get("provenance", {}),
        outcome_digest=facts.get("digest", ""),
        sampler_attrs={k: v for k, v in system.items() if not k.startswith(tables.CONSTRAINT)},
    )


def _params(connection: Connection, row: int) -> dict[int, dict[str, Any]]:
    p, t = tables.trial_params, tables.trials
    read = cache(json_to_distribution)  # a study has few distributions and many values
    found: dict[int, dict[str, Any]] = defaultdict(dict)
    query = (
        select(p.c.trial_id, p.c.param_name, p.c.param_value, p.c.distribution_json)
        .join(t, t.c.trial_id == p.c.trial_id)
        .where(t.c.study_id == row)
        .order_by(p.c.param_id)
    )
    # All rows at once: of a long history, fetching one by one is most of the work.
    for trial, name, value, text in connection.execute(query).all():
        distribution: BaseDistribution = read(text)
        found[trial][name] = distribution.to_external_repr(value)
    return found


def _attributes(connection: Connection, row: int, table: Any, prefix: str) -> dict[int, dict[str, Any]]:
    t = tables.trials
    query = select(table.c.trial_id, table.c.key, table.c.value_json).join(
        t, t.c.trial_id == table.c.trial_id
    )
    found: dict[int, dict[str, Any]] = defaultdict(dict)
    query = query.where(t.c.study_id == row, table.c.key.startswith(prefix, autoescape=True))
    for trial, key, text in connection.execute(query).all():
        found[trial][key] = json.loads(text)
    return found


def _counts(connection: Connection, row: int | None = None) -> dict[int, dict[TrialState, int]]:
    t = tables.trials
    key, superseded = tables.trial_user_attributes.alias(), tables.trial_user_attributes.alias()
    query = (
        select(t.c.study_id, t.c.state, func.count())
        .join(key, and_(key.c.trial_id == t.c.trial_id, key.c.key == tables.KEY))
        .outerjoin(
            superseded, and_(superseded.c.trial_id == t.c.trial_id, superseded.c.key == tables.SUPERSEDED)
        )
        .where(superseded.c.trial_id.is_(None))
        .group_by(t.c.study_id, t.c.state)
    )
    found: dict[int, dict[TrialState, int]] = defaultdict(dict)
    for study, state, count in connection.execute(query if row is None else query.where(t.c.study_id == row)):
        found[study][tables.STATES[state]] = count
    return found


def _best(connection: Connection) -> dict[int, tuple[int, float]]:
    """Study → number and value of its best feasible trial by the first objective, the earliest of equals."""
    t, v, d = tables.trials, tables.trial_values, tables.study_directions
    out = tables.trial_user_attributes.alias()
    upwards = case((d.c.direction == StudyDirection.MINIMIZE, v.c.value), else_=-v.c.value)
    place = func.row_number().over(partition_by=t.c.study_id, order_by=[upwards, t.c.number])
    ranked = (
        select(t.c.study_id, t.c.number, v.c.value, place.label("place"))
        .join(v, and_(v.c.trial_id == t.c.trial_id, v.c.objective == 0))
        .join(d, and_(d.c.study_id == t.c.study_id, d.c.objective == 0))
        .outerjoin(
            out, and_(out.c.trial_id == t.c.trial_id, out.c.key.in_([tables.SUPERSEDED, tables.INFEASIBLE]))
        )
        .where(t.c.state == OptunaState.COMPLETE, out.c.trial_id.is_(None))
        .subquery()
    )
    found = connection.execute(
        select(ranked.c.study_id, ranked.c.number, ranked.c.value).where(ranked.c.place == 1)
    )
    return {study: (number, value) for study, number, value in found}


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _utc(naive: datetime | None) -> datetime | None:
    return naive.replace(tzinfo=UTC) if naive else None
