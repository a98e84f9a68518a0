"""What ask and tell write, each trial in one transaction."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState
from sqlalchemy import Connection, Table, delete, func, insert, select, update

from hpo_tasks.spec.model import FixedParameter, StudySpec
from hpo_tasks.study import tables
from hpo_tasks.study.identity import trial_seed
from hpo_tasks.study.propose import Proposal
from hpo_tasks.study.records import TrialState
from hpo_tasks.study.samplers import distribution
from hpo_tasks.study.verdict import Verdict
from hpo_tasks.trial.layout import SlotKey


def finish(connection: Connection, trial: int, verdict: Verdict) -> bool:
    """Give a trial its final state, values and facts, all in this transaction, unless it has them.

    A compare-and-set on the row, so that it needs no lock: of two that finish the same trial one gets False.

    Args:
        connection: a writing transaction.
        trial: primary key.
        verdict: what to record.

    Returns: False if the trial is finished; one that was only closed (no outcome) counts as not finished.
    """
    t = tables.trials
    state = connection.execute(select(t.c.state).where(t.c.trial_id == trial).with_for_update()).scalar_one()
    if tables.STATES[state] not in ("running", "waiting") and not _only_closed(connection, trial):
        return False
    _set_state(connection, trial, verdict.state, now(connection).replace(tzinfo=None))
    mark(connection, trial, {tables.OUTCOME: verdict.facts})
    if any(excess > 0 for excess in verdict.violations.values()):
        mark(connection, trial, {tables.INFEASIBLE: True})
    excess = {f"{tables.CONSTRAINT}{name}": value for name, value in verdict.violations.items()}
    _set_attributes(connection, tables.trial_system_attributes, trial, excess)
    rows = [
        {"trial_id": trial, "objective": index, "value": value, "value_type": tables.FINITE}
        for index, value in enumerate(verdict.values or ())
    ]
    if rows:
        connection.execute(insert(tables.trial_values), rows)
    return True


def now(connection: Connection) -> datetime:
    """The time (UTC) on the database's clock, so that the clocks of two hosts are never compared."""
    if connection.dialect.name == "sqlite":  # this machine is the only one
        return datetime.now(UTC)
    found: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return found.astimezone(UTC)


def create(connection: Connection, study: int, trial: FrozenTrial) -> None:
    """Create a trial with its parameters and attributes, and the study's next number.

    The same rows as Optuna's `create_new_trial` makes, and by the same rule (who gives a number holds the study), with a
    handful of statements instead of three or four for each parameter, some of which get slower with every trial.

    Args:
        connection: a writing transaction.
        study: primary key.
        trial: see `template`; its number does not count.
    """
    hold_study(connection, study)
    t = tables.trials
    number = connection.execute(select(func.count()).where(t.c.study_id == study)).scalar_one()
    began = None if trial.datetime_start is None else trial.datetime_start.replace(tzinfo=None)
    row = {"study_id": study, "number": number, "state": trial.state, "datetime_start": began}
    trial_id = connection.execute(insert(t).values(row).returning(t.c.trial_id)).scalar_one()
    for table, rows in rows_of(trial).items():
        if rows:
            connection.execute(insert(table), [{"trial_id": trial_id, **columns} for columns in rows])


def rows_of(trial: FrozenTrial) -> dict[Table, list[dict[str, Any]]]:
    """What is stored beside the trial's own row, by table, without the trial's primary key."""
    params = [
        {
            "param_name": name,
            "param_value": distribution.to_internal_repr(trial.params[name]),
            "distribution_json": distribution_to_json(distribution),
        }
        for name, distribution in trial.distributions.items()
    ]
    return {
        tables.trial_params: params,
        tables.trial_user_attributes: _attribute_rows(trial.user_attrs),
        tables.trial_system_attributes: _attribute_rows(trial.system_attrs),
    }


def template(spec: StudySpec, proposal: Proposal, key: SlotKey, batch: int) -> FrozenTrial:
    """A trial to `create`: state, key, parameters, and what the sampler keeps with it.

    Args:
        spec: the pinned spec.
        proposal: the configuration.
        key: the slot it is for.
        batch: size of the round.
    """
    fixed = {n: v for n, v in proposal.params.items() if isinstance(spec.search[n], FixedParameter)}
    searched = {n: v for n, v in proposal.params.items() if n not in fixed}
    identity = {
        "round": key.round,
        "slot": key.slot,
        "of": batch,
        "seed": trial_seed(spec.optimizer.seed, key.study, key.round, key.slot),
        "source": proposal.source,
        "fixed": fixed,
    }
    return FrozenTrial(
        number=-1,  # `create` gives the next one
        trial_id=-1,
        state=OptunaState.RUNNING,
        value=None,
        datetime_start=datetime.now(UTC),
        datetime_complete=None,
        params=searched,
        distributions={name: distribution(spec.search[name]) for name in searched},
        user_attrs={tables.KEY: identity},
        system_attrs=dict(proposal.sampler_attrs),
        intermediate_values={},
    )


def check(connection: Connection) -> None:
    """Fail if the database cannot be written: an update that matches nothing."""
    connection.execute(update(tables.studies).where(tables.studies.c.study_id < 0).values(study_name=""))


def mark(connection: Connection, trial: int, attributes: Mapping[str, Any]) -> None:
    """Set user attributes of a trial, finished or not."""
    _set_attributes(connection, tables.trial_user_attributes, trial, attributes)


def hold_study(connection: Connection, study: int) -> None:
    """Let nobody else who holds it go on before this transaction ends. On SQLite every writing transaction does that."""
    studies = tables.studies
    connection.execute(select(studies.c.study_id).where(studies.c.study_id == study).with_for_update())


def set_study_attribute(connection: Connection, study: int, key: str, value: Any) -> None:
    """Set a user attribute of a study."""
    attrs = tables.study_user_attributes
    connection.execute(delete(attrs).where(attrs.c.study_id == study, attrs.c.key == key))
    connection.execute(insert(attrs).values(study_id=study, key=key, value_json=json.dumps(value)))


def run_again(connection: Connection, trial: int) -> None:
    """Put a trial that was closed without an outcome back to running, unless a tell comes first."""
    t = tables.trials
    connection.execute(select(t.c.state).where(t.c.trial_id == trial).with_for_update())
    if _only_closed(connection, trial):
        _set_state(connection, trial, "running", None)
        attrs = tables.trial_user_attributes
        connection.execute(delete(attrs).where(attrs.c.trial_id == trial, attrs.c.key == tables.OUTCOME))


def delete_study(connection: Connection, study: str) -> bool:
    """Delete a study with all its trials. False if there is none."""
    trials, studies = tables.trials, tables.studies
    row = connection.execute(
        select(studies.c.study_id).where(studies.c.study_name == study)
    ).scalar_one_or_none()
    if row is None:
        return False
    of_study = select(trials.c.trial_id).where(trials.c.study_id == row)
    for table in tables.OF_TRIALS:
        connection.execute(delete(table).where(table.c.trial_id.in_(of_study)))
    for table in (trials, *tables.OF_STUDIES, studies):
        connection.execute(delete(table).where(table.c.study_id == row))
    return True


def _attribute_rows(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value_json": json.dumps(value)} for key, value in attributes.items()]


def _only_closed(connection: Connection, trial: int) -> bool:
    attrs = tables.trial_user_attributes
    text = connection.execute(
        select(attrs.c.value_json).where(attrs.c.trial_id == trial, attrs.c.key == tables.OUTCOME)
    ).scalar_one_or_none()
    return text is not None and json.loads(text)["digest"] == ""


def _set_state(connection: Connection, trial: int, state: TrialState, ended: datetime | None) -> None:
    connection.execute(
        update(tables.trials)
        .where(tables.trials.c.trial_id == trial)
        .values(state=tables.OPTUNA_STATES[state], datetime_complete=ended)
    )


def _set_attributes(connection: Connection, table: Any, trial: int, attributes: Mapping[str, Any]) -> None:
    for key, value in attributes.items():
        connection.execute(delete(table).where(table.c.trial_id == trial, table.c.key == key))
        connection.execute(insert(table).values(trial_id=trial, key=key, value_json=json.dumps(value)))
