"""How an attempt ended, in the words of the contract. A pure decision over what the runner saw."""

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hpo_tasks.trial.contract import OutcomeClass
from hpo_tasks.trial.escalation import Cause
from hpo_tasks.trial.metrics import Reports, missing_value


@dataclass(frozen=True, slots=True)
class Ending:
    """What the runner saw of the program's end.

    Attributes:
        exit_code: negative = killed by that signal; None if the program never started.
        cause: why we ended it; None if it ended by itself.
        because: the cause in words for a person, e.g. `more than 30 s`.
        start_error: why it could not be started; "" if it was.
        message: what a Python callable raised, in one line; "" if nothing is known.
        kernel_oom_kills: processes that the kernel killed for want of memory meanwhile, in this job's control group.
        peak_bytes: the highest resident memory of the tree that was measured.
    """

    exit_code: int | None
    cause: Cause | None = None
    because: str = ""
    start_error: str = ""
    message: str = ""
    kernel_oom_kills: int = 0
    peak_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Class and reason of an outcome, with the objectives' values (only if complete) and all other finite metrics."""

    cls: OutcomeClass
    reason: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


def judge(
    ending: Ending, reports: Reports, *, objectives: Sequence[str], thresholds: Sequence[str]
) -> Verdict:
    """Classify.

    What we did to the program counts before what it says: one that was told to stop is `stopped` even if it then ends
    well, because its values may come from half the work; they are kept among the metrics.
    """
    metrics = reports.finite()
    if ending.start_error:
        return Verdict("user_error", ending.start_error, metrics=metrics)
    if ending.cause is not None:
        return Verdict(ending.cause, ending.because, metrics=metrics)
    if ending.exit_code != 0:
        cls, reason = _failed(ending)
        return Verdict(cls, reason, metrics=metrics)
    missing = missing_value(reports, [*objectives, *thresholds])
    if missing:
        return Verdict("user_error", missing, metrics=metrics)
    return Verdict("complete", values={name: metrics.pop(name) for name in objectives}, metrics=metrics)


def _failed(ending: Ending) -> tuple[OutcomeClass, str]:
    code = ending.exit_code or 0
    # A shell reports a child that died of signal N as exit code 128 + N.
    number = -code if code < 0 else code - 128
    if ending.kernel_oom_kills:
        return "oom", "out of memory: the kernel killed a process of the program"
    if number == signal.SIGKILL:
        return "infra", "killed by SIGKILL from outside (out of memory is not proven)"
    if number == signal.SIGTERM:
        return "interrupted", "ended by SIGTERM from outside"
    if code < 0:
        return "user_error", f"killed by {_signal_name(number)}"
    return "user_error", ending.message or f"exit code {code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
