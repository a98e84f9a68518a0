"""What a study amounts to: counts, best, leaderboard. Pure and light; used by conclude, the command line and the report."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from hpo_tasks.errors import InputError
from hpo_tasks.spec.model import Objective
from hpo_tasks.study.records import StudyRecord, TrialRecord, TrialState
from hpo_tasks.trial.layout import SlotKey

SCHEMA = 1
CANDIDATES_SHOWN = 5


def counts(trials: Sequence[TrialRecord]) -> dict[TrialState, int]:
    """Trials by state; states without trials are left out."""
    return dict(Counter(trial.state for trial in trials))


def best(objectives: Sequence[Objective], trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The best feasible trial, the earliest of equals; with several objectives the Pareto front, by the first one."""
    feasible = [trial for trial in trials if trial.feasible and trial.values is not None]
    ordered = sorted(feasible, key=lambda trial: (losses(objectives, trial), trial.number))
    if len(objectives) == 1:
        return ordered[:1]
    front: list[TrialRecord] = []
    for trial in ordered:  # lexicographic order: a trial is dominated only by one before it
        if not any(_dominates(losses(objectives, other), losses(objectives, trial)) for other in front):
            front.append(trial)
    return front


def losses(objectives: Sequence[Objective], trial: TrialRecord) -> tuple[float, ...]:
    """The values of a complete trial, turned so that less is better."""
    values = trial.values or {}
    return tuple(values[o.metric] if o.direction == "minimize" else -values[o.metric] for o in objectives)


def _dominates(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    return first != second and all(a <= b for a, b in zip(first, second, strict=True))


def leaderboard(
    objectives: Sequence[Objective], trials: Sequence[TrialRecord], limit: int | None = None
) -> list[TrialRecord]:
    """Complete trials, best first: feasible ones by the first objective, then those that miss a threshold."""
    complete = [trial for trial in trials if trial.state == "complete" and trial.values is not None]
    ordered = sorted(complete, key=lambda t: (not t.feasible, losses(objectives, t), t.number))
    return ordered[:limit]


def row(trial: TrialRecord) -> dict[str, Any]:
    """A trial as JSON."""
    return {
        "number": trial.number,
        "round": trial.round,
        "slot": trial.slot,
        "state": trial.state,
        "feasible": trial.feasible,
        "params": dict(trial.params),
        "params_sha256": trial.params_sha256,
        "values": None if trial.values is None else dict(trial.values),
        "metrics": dict(trial.metrics),
        "violations": dict(trial.violations),
        "class": trial.cls,
        "reason": trial.reason,
        "attempt": trial.attempt,
        "attempts": trial.attempts,
        "seed": trial.seed,
        "source": trial.source,
        "asked_at": _iso(trial.asked_at),
        "started_at": _iso(trial.started_at),
        "ended_at": _iso(trial.ended_at),
        "duration_s": trial.duration_s,
        "exit_code": trial.exit_code,
        "peak_memory_bytes": trial.peak_memory_bytes,
        "provenance": dict(trial.provenance),
    }


def summary(study: StudyRecord, trials: Sequence[TrialRecord], *, top: int = 10) -> dict[str, Any]:
    """The study as one JSON object, `summary.json`.

    Args:
        study: the study.
        trials: its trials.
        top: length of the leaderboard.
    """
    header = study.header
    return {
        "schema": SCHEMA,
        "study": header.study_id,
        "name": header.name,
        "dag_id": header.dag_id,
        "run_id": header.run_id,
        "epoch": header.epoch,
        "interval": header.interval and list(header.interval),
        "state": study.state,
        "reason": study.reason,
        "created_at": _iso(study.created_at),
        "ended_at": _iso(study.ended_at),
        "objectives": [{"metric": o.metric, "direction": o.direction} for o in header.objectives],
        "trials": dict(counts(trials)),
        "failures": failures(trials),
        "attempts": sum(trial.attempts for trial in trials),
        "trial_seconds": round(sum(trial.duration_s or 0.0 for trial in trials), 3),
        "best": [row(trial) for trial in best(header.objectives, trials)],
        "leaderboard": [row(trial) for trial in leaderboard(header.objectives, trials, top)],
    }


def failures(trials: Sequence[TrialRecord]) -> dict[str, int]:
    """Failed trials by class, the commonest first."""
    return dict(Counter(str(trial.cls) for trial in trials if trial.state == "failed").most_common())


def model_prefix(study: str, trial: TrialRecord) -> str:
    """Where in the object store the trial's model lies."""
    return SlotKey(study, trial.round, trial.slot).attempt(trial.attempt).model


def find(studies: Sequence[StudyRecord], reference: str) -> str:
    """Id of the study that a person means; see `Ledger.find`.

    Args:
        studies: all studies, newest first.
        reference: what the person wrote.

    Raises:
        InputError: none fits, or several do.
    """
    by_id = [study for study in studies if reference and study.study_id.startswith(reference.lower())]
    by_run = [s for s in studies if reference in (s.header.dag_id, f"{s.header.dag_id}/{s.header.run_id}")]
    by_name = [study for study in studies if study.header.name == reference]
    if len(by_id) == 1:
        return by_id[0].study_id
    matches = by_run or by_name or by_id
    if not matches:
        raise InputError(f"no study {reference!r}; `hpo studies` lists them")
    # A DAG's or a name's newest study is meant, unless the name is that of several DAGs' studies.
    if by_run or (by_name and len({study.header.dag_id for study in by_name}) == 1):
        return matches[0].study_id
    shown = ", ".join(_candidate(study) for study in matches[:CANDIDATES_SHOWN])
    more = f" and {len(matches) - CANDIDATES_SHOWN} more" if len(matches) > CANDIDATES_SHOWN else ""
    raise InputError(f"{reference!r} fits {len(matches)} studies: {shown}{more}; give more of the id")


def _candidate(study: StudyRecord) -> str:
    return f"{study.study_id} ({study.header.dag_id}/{study.header.run_id})"


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
