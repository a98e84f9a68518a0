"""How long trials take on a machine and thread count that may not have been measured. Pure.

Measured with the very thread count: the times as they are. Else the nearest count's times, scaled by Amdahl's law,
time = serial + parallel / threads. Its two parts come from the medians of two or more measured counts; for want of a
second one, from the share that the user states. Without either there is no forecast: a guess would look like one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median


@dataclass(frozen=True, slots=True)
class MeasuredTimes:
    """Trials that ran.

    Attributes:
        threads: of each trial.
        seconds: how long each took, in the order in which they ran.
        machine: the machine type they ran on, None: take them for any.
    """

    threads: int
    seconds: tuple[float, ...]
    machine: str | None = None


@dataclass(frozen=True, slots=True)
class Times:
    """Times to forecast with; `notes` say what they rest on if they were not measured so."""

    seconds: tuple[float, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NoTimes:
    """Nothing to forecast with; `reason` says what to measure."""

    reason: str


def times_for(
    threads: int, machine: str, measured: Sequence[MeasuredTimes], parallel_share: float | None = None
) -> Times | NoTimes:
    """Trial times on `machine` with `threads` threads.

    Args:
        threads: of a trial.
        machine: its own measurements, if there are any, are the only ones that count.
        measured: several with the same threads are taken together.
        parallel_share: 0 to 1: the share of a one-thread trial's time that threads divide among them.
    """
    own = [one for one in measured if one.machine == machine]
    fitting = own or [one for one in measured if one.machine is None]
    by_threads: dict[int, tuple[float, ...]] = {}
    for one in fitting:
        by_threads[one.threads] = (*by_threads.get(one.threads, ()), *one.seconds)
    if threads in by_threads:
        return Times(by_threads[threads])
    if not by_threads:
        return NoTimes(f"no trial was measured on {machine}: add it to measured, or one without machine")
    if len(by_threads) > 1:
        serial, parallel = _amdahl({count: median(seconds) for count, seconds in by_threads.items()})
    elif parallel_share is not None:
        serial, parallel = 1 - parallel_share, parallel_share
    else:
        (only,) = by_threads
        return NoTimes(
            f"no trial was measured with {threads} threads, only with {only}: "
            "measure another count, or state parallel_share"
        )
    nearest = min(by_threads, key=lambda count: max(count, threads) / min(count, threads))
    factor = (serial + parallel / threads) / (serial + parallel / nearest)
    note = f"times of {nearest} threads scaled by {factor:.2f}"
    return Times(tuple(seconds * factor for seconds in by_threads[nearest]), (note,))


def _amdahl(medians_s: Mapping[int, float]) -> tuple[float, float]:
    """Serial and parallel part by least squares over 1 / threads; neither below 0."""
    xs = [1 / count for count in medians_s]
    ys = list(medians_s.values())
    middle_x, middle_y = fmean(xs), fmean(ys)
    slope = sum((x - middle_x) * (y - middle_y) for x, y in zip(xs, ys, strict=True))
    parallel = max(0.0, slope / sum((x - middle_x) ** 2 for x in xs))
    serial = middle_y - parallel * middle_x
    if serial < 0:  # more threads helped by more than their number: all of it is taken for parallel
        return 0.0, sum(x * y for x, y in zip(xs, ys, strict=True)) / sum(x * x for x in xs)
    return serial, parallel
