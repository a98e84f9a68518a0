"""What the object store already knows of trials that the ledger has not recorded yet: tell comes at a round's end."""

from collections.abc import Sequence
from dataclasses import replace

from hpo_tasks.errors import IntegrityError
from hpo_tasks.store import Store
from hpo_tasks.study.records import StudyHeader, TrialRecord
from hpo_tasks.study.verdict import judge
from hpo_tasks.trial.contract import decode_outcome
from hpo_tasks.trial.layout import SlotKey

MAX_OUTCOME_BYTES = 1 << 20


def with_outcomes(store: Store, header: StudyHeader, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The trials, where unfinished ones show what their outcome says, or `waiting` before their first attempt."""
    return [trial if trial.finished else _look(store, header, trial) for trial in trials]


def _look(store: Store, header: StudyHeader, trial: TrialRecord) -> TrialRecord:
    key = SlotKey(header.study_id, trial.round, trial.slot)
    try:
        data = store.read(key.outcome, limit=MAX_OUTCOME_BYTES)
        if data is None:
            return (
                trial if store.read(key.attempt(1).request) is not None else replace(trial, state="waiting")
            )
        outcome = decode_outcome(data)
    except IntegrityError:  # written by a hostile job; tell records what to make of it
        return replace(trial, state="failed", cls="user_error")
    verdict = judge(header, trial, outcome)
    names = [objective.metric for objective in header.objectives]
    values = None if verdict.values is None else dict(zip(names, verdict.values, strict=True))
    return replace(
        trial, state=verdict.state, values=values, violations=dict(verdict.violations), cls=outcome.cls,
        reason=outcome.reason, attempt=outcome.attempt, attempts=outcome.attempts, duration_s=outcome.duration_s,
    )  # fmt: skip
