"""What the object store says of a trial's attempts, and the writes that move it on."""

import re
from datetime import UTC, datetime

from hpo_tasks.errors import IntegrityError
from hpo_tasks.store.base import Store
from hpo_tasks.study.attempts import AttemptView
from hpo_tasks.trial.contract import (
    Outcome,
    OutcomeClass,
    Request,
    decode_outcome,
    encode_outcome,
    params_sha256,
)
from hpo_tasks.trial.layout import AttemptKey, SlotKey

MAX_OUTCOME_BYTES = 1 << 20
_ATTEMPT_OBJECT = re.compile(r"a([1-9][0-9]{0,3})/request\.json")


def read_outcome(store: Store, request: Request) -> Outcome | None:
    """The trial's outcome, None while it is undecided. What is not this trial's outcome counts as `user_error`.

    The job wrote it and jobs are hostile: a torn or foreign object decides the trial as failed, with the reason.
    """
    slot = SlotKey(request.study, request.round, request.slot)
    return _read(store, slot.outcome, request)


def newest_attempt(store: Store, request: Request) -> AttemptView:
    """The newest attempt that was requested, with its report; the job's state is the backend's to say."""
    slot = SlotKey(request.study, request.round, request.slot)
    found = (_ATTEMPT_OBJECT.fullmatch(key.removeprefix(str(slot))) for key in store.list(f"{slot}a"))
    number = max((int(match.group(1)) for match in found if match), default=0)
    if number == 0:
        return AttemptView(0)
    return AttemptView(number, report=_read(store, slot.attempt(number).report, request))


def write_report(store: Store, request: Request, cls: OutcomeClass, reason: str) -> None:
    """Write down how an attempt ended whose job cannot do so any more. The job's own report wins a race."""
    attempt = SlotKey(request.study, request.round, request.slot).attempt(request.attempt)
    store.create(attempt.report, encode_outcome(verdict(request, cls, reason, ended_at=_now())))


def commit(store: Store, outcome: Outcome) -> None:
    """Create the trial's outcome from the control plane's side; a job that was faster wins."""
    store.create(SlotKey(outcome.study, outcome.round, outcome.slot).outcome, encode_outcome(outcome))


def verdict(request: Request, cls: OutcomeClass, reason: str, *, ended_at: str = "") -> Outcome:
    """An outcome without values, in the control plane's words."""
    return Outcome(
        study=request.study, round=request.round, slot=request.slot, attempt=request.attempt, cls=cls, reason=reason,
        spec_digest=request.spec_digest, params_sha256=params_sha256(request.params), attempts=request.attempt,
        ended_at=ended_at or _now(),
    )  # fmt: skip


def request_key(request: Request) -> AttemptKey:
    return SlotKey(request.study, request.round, request.slot).attempt(request.attempt)


def _read(store: Store, key: str, request: Request) -> Outcome | None:
    try:
        data = store.read(key, limit=MAX_OUTCOME_BYTES)
        if data is None:
            return None
        outcome = decode_outcome(data)
    except IntegrityError as error:
        return verdict(request, "user_error", f"bad result: {error}")
    wrong = _foreign(outcome, request)
    return verdict(request, "user_error", f"bad result: {key} {wrong}") if wrong else outcome


def _foreign(outcome: Outcome, request: Request) -> str:
    if (outcome.study, outcome.round, outcome.slot) != (request.study, request.round, request.slot):
        return "belongs to another trial"
    if outcome.params_sha256 != params_sha256(request.params):
        return "was computed for other parameters"
    if outcome.cls in ("complete", "pruned") and tuple(sorted(outcome.values)) != tuple(
        sorted(request.objectives)
    ):
        return f"has values for {', '.join(sorted(outcome.values)) or 'no metric'}, not for the study's objectives"
    return ""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
