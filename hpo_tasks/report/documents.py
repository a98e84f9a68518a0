"""Studies and trials as JSON and CSV: the format that scripts read, so its keys stay."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from hpo_tasks.study.records import StudyHeader, StudyRecord, TrialRecord

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def trial_document(header: StudyHeader, trial: TrialRecord) -> dict[str, Any]:
    """A trial as JSON. Times are ISO 8601 in UTC, `duration_s` seconds; what is unknown is null."""
    return {
        "number": trial.number,
        "key": {"run": header.run_id, "round": trial.round, "slot": trial.slot},
        "state": trial.state,
        "params": dict(trial.params),
        "values": None if trial.values is None else dict(trial.values),
        "metrics": dict(trial.metrics),
        "violations": dict(trial.violations),
        "attempts": trial.attempts,
        "started_at": iso(trial.started_at),
        "ended_at": iso(trial.ended_at),
        "duration_s": trial.duration_s,
        "failure": {"class": trial.cls, "reason": trial.reason} if trial.state == "failed" else None,
        "seed": trial.seed,
        "source": trial.source,
        "exit_code": trial.exit_code,
        "peak_memory_bytes": trial.peak_memory_bytes,
        "asked_at": iso(trial.asked_at),
        "recorded_at": iso(trial.recorded_at),
        "provenance": dict(trial.provenance),
    }


def study_document(study: StudyRecord) -> dict[str, Any]:
    """A study as JSON; `best` is null without a best trial and with several objectives."""
    header = study.header
    best = None if study.best_number is None else {"number": study.best_number, "value": study.best_value}
    return {
        "study": study.study_id,
        "name": header.name,
        "dag_id": header.dag_id,
        "run_id": header.run_id,
        "epoch": header.epoch,
        "deployment": header.deployment,
        "interval": None if header.interval is None else list(header.interval),
        "state": study.state,
        "reason": study.reason,
        "objectives": [{"metric": o.metric, "direction": o.direction} for o in header.objectives],
        "trials": dict(study.counts),
        "best": best,
        "created_at": iso(study.created_at),
        "ended_at": iso(study.ended_at),
        "duration_s": elapsed_s(study),
    }


def best_document(trial: TrialRecord, model: str | None) -> dict[str, Any]:
    """A best trial as JSON; `model` is the address of its model in the object store, null if it kept none."""
    return {
        "number": trial.number,
        "params": dict(trial.params),
        "values": None if trial.values is None else dict(trial.values),
        "metrics": dict(trial.metrics),
        "model": model,
    }


def trials_csv(header: StudyHeader, trials: Sequence[TrialRecord]) -> str:
    """Trials as CSV: one row each, one column per parameter (`param.<name>`) and objective (`value.<metric>`).

    A cell of text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    names = list(dict.fromkeys(name for trial in trials for name in trial.params))
    metrics = [objective.metric for objective in header.objectives]
    columns = [
        *("number", "run", "round", "slot", "state"),
        *(f"param.{name}" for name in names),
        *(f"value.{metric}" for metric in metrics),
        *("attempts", "started_at", "ended_at", "duration_s", "failure_class", "failure_reason", "seed"),
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(_cell, columns))
    for trial in trials:
        writer.writerow(map(_cell, _row(header, trial, names, metrics)))
    return text.getvalue()


def elapsed_s(study: StudyRecord) -> float | None:
    """Seconds from the study's creation to its end; None while it runs."""
    return None if study.ended_at is None else (study.ended_at - study.created_at).total_seconds()


def iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _row(
    header: StudyHeader, trial: TrialRecord, names: Iterable[str], metrics: Iterable[str]
) -> list[object]:
    values: Mapping[str, float] = trial.values or {}
    failed = trial.state == "failed"
    return [
        *(trial.number, header.run_id, trial.round, trial.slot, trial.state),
        *(trial.params.get(name) for name in names),
        *(values.get(metric) for metric in metrics),
        *(trial.attempts, iso(trial.started_at), iso(trial.ended_at), trial.duration_s),
        *(trial.cls if failed else None, trial.reason if failed else None, trial.seed),
    ]


def _cell(value: object) -> object:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    if isinstance(value, bool):
        return "true" if value else "false"
    return value
