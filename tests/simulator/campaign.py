"""Many histories on all cores, and how long it takes to catch each bug."""

import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context

from tests.simulator.bugs import BUGS
from tests.simulator.histories import simulator

CHUNK = 100
WITHIN = 2000
SHOWN = 5


@dataclass(frozen=True)
class Chunk:
    """What came of a stretch of seeds."""

    histories: int
    trials: int
    trainings: int
    superseded: int
    events: int
    violated: dict[int, list[str]]


def run(seed: int, histories: int, processes: int) -> dict:
    """Run the histories of so many seeds, and say how far it is; returns the figures."""
    begun = time.monotonic()
    chunks = []
    stretches = [
        (start, min(start + CHUNK, seed + histories)) for start in range(seed, seed + histories, CHUNK)
    ]
    with get_context("spawn").Pool(processes) as pool:
        for number, chunk in enumerate(pool.imap_unordered(_stretch, stretches), 1):
            chunks.append(chunk)
            if chunk.violated or number % 20 == 0:
                _report(chunk, sum(each.histories for each in chunks), time.monotonic() - begun)
    duration_s = time.monotonic() - begun
    violated = {seed: found for chunk in chunks for seed, found in chunk.violated.items()}
    figures = {
        name: sum(getattr(chunk, name) for chunk in chunks)
        for name in ("histories", "trials", "trainings", "superseded", "events")
    }
    print(
        f"{histories} histories, {len(violated)} violated, {duration_s:.0f} s, {histories / duration_s:.0f}/s"
    )
    return {
        **figures,
        "first_seed": seed,
        "violated": violated,
        "duration_s": round(duration_s, 1),
        "histories_per_s": round(histories / duration_s, 1),
        "processes": processes,
        "cores": os.cpu_count(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def _report(chunk: Chunk, done: int, passed_s: float) -> None:
    print(f"{done} histories, {passed_s:.0f} s", flush=True)
    for seed, violations in list(chunk.violated.items())[:SHOWN]:
        print(f"seed {seed}: {'; '.join(violations)}", flush=True)


def _stretch(seeds: tuple[int, int]) -> Chunk:
    with simulator() as simulate:
        found = [simulate.run(seed) for seed in range(*seeds)]
    return Chunk(
        histories=len(found),
        trials=sum(history.trials for history in found),
        trainings=sum(history.trainings for history in found),
        superseded=sum(history.superseded for history in found),
        events=sum(len(history.events) for history in found),
        violated={history.seed: history.violations for history in found if history.violations},
    )


def catch(name: str, seed: int = 1) -> int | None:
    """How many histories it takes until a bug is caught, None if that is more than 2,000."""
    with BUGS[name](), simulator() as simulate:
        for number in range(WITHIN):
            if simulate.run(seed + number).violations:
                return number + 1
    return None


def catch_all(seed: int, processes: int) -> dict[str, int | None]:
    """For each bug, how many histories it takes until it is caught; None if it is not."""
    with get_context("spawn").Pool(processes) as pool:
        return dict(zip(BUGS, pool.imap(_Catch(seed), BUGS), strict=True))


@dataclass(frozen=True)
class _Catch:
    seed: int

    def __call__(self, name: str) -> int | None:
        return catch(name, self.seed)
