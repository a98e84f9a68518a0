"""How long it took until things went on after a kill. Pure: moments in, seconds out. All moments are Unix seconds."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """What a run was seen to do.

    Attributes:
        began, ended: the run itself.
        queued: when the scheduler queued a task of it.
        moments: all signs of progress: a task queued, started or ended, a trial started.
    """

    began: float
    ended: float
    queued: Sequence[float]
    moments: Sequence[float]


@dataclass(frozen=True, slots=True)
class Recovery:
    """After one kill, in seconds.

    Attributes:
        queued_s: until a scheduler queued a task again, whichever run's.
        every_run_s: until each run that was going on had made a step.
    """

    queued_s: float
    every_run_s: float


def recovery(killed_at: float, runs: Sequence[Progress]) -> Recovery | None:
    """None if no run was going on."""
    going = [run for run in runs if run.began < killed_at < run.ended]
    queued = [found for run in runs if (found := _next(killed_at, run.queued)) is not None]
    steps = [found for run in going if (found := _next(killed_at, [*run.moments, run.ended])) is not None]
    if not steps:
        return None
    return Recovery(
        queued_s=round(min(queued, default=max(steps)) - killed_at, 1),
        every_run_s=round(max(steps) - killed_at, 1),
    )


def _next(moment: float, moments: Sequence[float]) -> float | None:
    ordered = sorted(moments)
    place = bisect_right(ordered, moment)
    return ordered[place] if place < len(ordered) else None
