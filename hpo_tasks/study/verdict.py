"""From an outcome to what the ledger records. Pure. An outcome comes out of a hostile job: nothing in it is trusted."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from hpo_tasks.spec.model import Threshold
from hpo_tasks.study.records import StudyHeader, TrialRecord, TrialState
from hpo_tasks.trial.contract import OUTCOME_CLASSES, Outcome

BAD_RESULT = "bad result"
MAX_TEXT = 500
MAX_ENTRIES = 100

_STATES: Mapping[str, TrialState] = {"complete": "complete", "pruned": "pruned"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the ledger records for a trial.

    Attributes:
        state: the trial's final state.
        facts: class, reason and all that is kept beside the values; JSON.
        values: of the objectives in their order, all finite; None without.
        violations: threshold → excess, <= 0 if kept.
        problem: why the outcome was not acceptable, "" if it was.
    """

    state: TrialState
    facts: Mapping[str, Any]
    values: tuple[float, ...] | None = None
    violations: Mapping[str, float] = field(default_factory=dict)
    problem: str = ""


def judge(header: StudyHeader, trial: TrialRecord, outcome: Outcome) -> Verdict:
    """Decide what to record for an outcome; one that is not acceptable is recorded as failed by the user's program."""
    try:
        values = _values(header, trial, outcome)
        violations = _violations(header.thresholds, outcome) if outcome.cls == "complete" else {}
    except ValueError as error:
        reason = f"{BAD_RESULT}: {error}"
        return Verdict("failed", _facts(outcome, "user_error", reason), problem=str(error))
    facts = _facts(outcome, outcome.cls, outcome.reason)
    if values is not None:
        # Kept here as well, as SQLite turns -0.0 into 0.0; Optuna's table is for Optuna.
        facts["values"] = dict(zip((o.metric for o in header.objectives), values, strict=True))
    return Verdict(_STATES.get(outcome.cls, "failed"), facts, values, violations)


def closed(reason: str) -> Verdict:
    """The verdict on a trial whose study was closed before it had an outcome. Not final: an outcome may still replace it."""
    return Verdict("failed", {"class": "stopped", "reason": _text(reason), "digest": ""})


def outcome_digest(outcome: Outcome) -> str:
    """Fingerprint of everything in the outcome; the same outcome told twice has the same."""
    try:
        document = json.dumps(asdict(outcome), sort_keys=True, default=repr)
    except (
        ValueError,
        TypeError,
        RecursionError,
    ):  # too large a number, too deep: whatever it is, it is no result
        document = "unreadable"
    return hashlib.sha256(document.encode()).hexdigest()


def _values(header: StudyHeader, trial: TrialRecord, outcome: Outcome) -> tuple[float, ...] | None:
    if outcome.cls not in OUTCOME_CLASSES:
        raise ValueError(f"unknown class {_text(outcome.cls)!r}")
    if outcome.params_sha256 != trial.params_sha256:
        raise ValueError("it is for other parameters")
    if outcome.cls not in _STATES or (outcome.cls == "pruned" and not outcome.values):
        return None
    names = [objective.metric for objective in header.objectives]
    if sorted(map(str, outcome.values)) != sorted(names):
        got = ", ".join(sorted(_text(name) for name in list(outcome.values)[:MAX_ENTRIES])) or "no value"
        raise ValueError(f"has {got}, not {', '.join(names)}")
    return tuple(finite(name, outcome.values[name]) for name in names)


def _violations(thresholds: Mapping[str, Threshold], outcome: Outcome) -> dict[str, float]:
    known = {**outcome.metrics, **outcome.values}
    violations = {}
    for metric, threshold in thresholds.items():
        if metric not in known:
            raise ValueError(f"no value for {metric}, which has a threshold")
        value = finite(metric, known[metric])
        if threshold.max is not None:
            violations[f"{metric}.max"] = value - threshold.max
        if threshold.min is not None:
            violations[f"{metric}.min"] = threshold.min - value
    return violations


def finite(name: str, value: object) -> float:
    """The value as a float.

    Raises:
        ValueError: not a number, or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is not a number: {_text(value)!r}")  # noqa: TRY004 - one error for every bad value
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name} is {number}")
    return number


def _facts(outcome: Outcome, cls: str, reason: str) -> dict[str, Any]:
    return {
        "class": cls,
        "reason": _text(reason),
        "digest": outcome_digest(outcome),
        "metrics": _finite_only(outcome.metrics),
        "attempt": _whole(outcome.attempt),
        "attempts": _whole(outcome.attempts),
        "started_at": _moment(outcome.started_at),
        "ended_at": _moment(outcome.ended_at),
        "duration_s": _finite_only({"": outcome.duration_s}).get(""),
        "exit_code": outcome.exit_code if isinstance(outcome.exit_code, int) else None,
        "peak_memory_bytes": _whole(outcome.peak_memory_bytes),
        "spec_digest": _text(outcome.spec_digest),
        "provenance": {_text(k): _text(v) for k, v in list(outcome.provenance.items())[:MAX_ENTRIES]},
    }


def _finite_only(metrics: Mapping[str, object]) -> dict[str, float]:
    kept = {}
    for name, value in list(metrics.items())[:MAX_ENTRIES]:
        try:
            kept[_text(name)] = finite(name, value)
        except ValueError:
            continue  # only the objectives and thresholds matter enough to fail a trial
    return kept


def _whole(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**53 else 0


def _moment(text: object) -> str | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat()


def _text(value: object) -> str:
    """At most 500 characters that every database takes."""
    try:
        text = str(value)
    except ValueError:  # an integer of thousands of digits
        text = "a number that is too large"
    return text.replace("\0", "\\0").encode("utf-8", "replace").decode()[:MAX_TEXT]
