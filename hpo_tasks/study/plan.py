"""What the next round is, or why there is none. Pure and light: decisions over the history, no clock, no database."""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from hpo_tasks.spec.model import StudySpec
from hpo_tasks.study.records import TrialRecord

GRACE_TRIALS = 8
"""`max_failed_share` counts from this many recorded trials on."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The round takes place.

    Attributes:
        count: how many configurations to ask for.
        deadline_s: seconds from now until the study's wall clock is used up; None without such a limit.
    """

    count: int
    deadline_s: float | None


@dataclass(frozen=True, slots=True)
class Finished:
    """There is no further round.

    Attributes:
        state: `complete`: the budget is used or the space exhausted; `stopped`: a limit came first;
            `failed`: too many trials fail.
        reason: one sentence.
    """

    state: Literal["complete", "stopped", "failed"]
    reason: str


def next_batch(  # noqa: PLR0911, PLR0913 - one return for each rule, one argument for each fact
    spec: StudySpec,
    history: Sequence[TrialRecord],
    *,
    round_: int,
    open_elapsed_s: float,
    max_rounds: int,
    exhausted: bool = False,
) -> Batch | Finished:
    """Decide about a round.

    A round that was asked before takes place again with its size, whatever the limits say by now: its trials have to
    be recorded. Only its deadline may be 0.

    Args:
        spec: the pinned spec.
        history: the study's trials.
        round_: number of the round.
        open_elapsed_s: how long rounds were open so far, see `open_seconds`.
        max_rounds: rounds that the DAG has.
        exhausted: ask found no configuration that was not tried.
    """
    wall_clock_s = spec.budget.wall_clock_s
    left_s = None if wall_clock_s is None else max(0.0, wall_clock_s - open_elapsed_s)
    asked_before = [trial for trial in history if trial.round == round_]
    if asked_before:
        return Batch(asked_before[0].batch, left_s)
    if failure := too_many_failures(history, spec.budget.max_failed_share):
        return Finished("failed", failure)
    count = min(spec.batch_size, spec.budget.trials - len(history))
    if count <= 0:
        return Finished("complete", f"all {spec.budget.trials} trials of the budget are recorded")
    if exhausted:
        return Finished("complete", f"the space is exhausted: {len(history)} trials are all there are")
    if round_ >= max_rounds:
        return Finished(
            "stopped", f"all {max_rounds} rounds are used, {count} or more trials are left: raise max_rounds"
        )
    if left_s is not None and (reason := _no_time(history, left_s, math.ceil(count / spec.backend.slots))):
        return Finished("stopped", reason)
    return Batch(count, left_s)


def open_round(history: Sequence[TrialRecord]) -> int:
    """The round to work on: the first that has a trial without an outcome, else the one after the last."""
    waiting = [trial.round for trial in history if not trial.outcome_digest]
    return min(waiting) if waiting else 1 + max((trial.round for trial in history), default=-1)


def too_many_failures(history: Sequence[TrialRecord], max_share: float) -> str:
    """Why the study is to stop for its failures, "" if it is not.

    `stopped` trials do not count as failures. `infra` and `interrupted` do: they come after all attempts, and a study
    whose jobs cannot run should not go on either.
    """
    recorded = [trial for trial in history if trial.finished and trial.cls != "stopped"]
    failed = [trial for trial in recorded if trial.state == "failed"]
    first = [trial for trial in history if trial.round == 0]
    if first and all(trial.cls == "user_error" for trial in first):
        return f"every trial of the first round failed; {_commonest(failed)}"
    if len(recorded) >= GRACE_TRIALS and len(failed) > max_share * len(recorded):
        return (
            f"{len(failed)} of {len(recorded)} trials failed, more than budget.max_failed_share {max_share:g}; "
            f"{_commonest(failed)}"
        )
    return ""


def _commonest(failed: Sequence[TrialRecord]) -> str:
    (cls, reason), count = Counter((trial.cls, trial.reason) for trial in failed).most_common(1)[0]
    return f"most often ({count} times) {cls}: {reason or 'no reason given'}"


def _no_time(history: Sequence[TrialRecord], left_s: float, waves: int) -> str:
    durations = [
        trial.duration_s for trial in history if trial.duration_s is not None and trial.cls != "stopped"
    ]
    needed_s = statistics.median(durations) * waves if durations else 0.0
    if left_s > 0 and needed_s <= left_s:
        return ""
    if left_s <= 0:
        return "budget.wall_clock is used up"
    return f"budget.wall_clock: {left_s:.0f} s are left, a round needs about {needed_s:.0f} s"


def open_seconds(openings: Mapping[int, Sequence[datetime]], history: Sequence[TrialRecord]) -> float:
    """How long rounds were open, idle time between a crash and its clear left out.

    A round is open from when ask opened it until its last trial was recorded. If it was opened again later, each
    stretch counts until the last trial that was recorded within it.

    Args:
        openings: round → moments at which ask opened it (`StudyRecord.openings`).
        history: the study's trials.
    """
    total_s = 0.0
    for round_, moments in openings.items():
        ends = [t.recorded_at for t in history if t.round == round_ and t.recorded_at and t.outcome_digest]
        starts = sorted(moments)
        for start, following in zip(starts, [*starts[1:], None], strict=True):
            within = [end for end in ends if end > start and (following is None or end <= following)]
            total_s += (max(within) - start).total_seconds() if within else 0.0
    return total_s
