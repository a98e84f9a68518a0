"""Wall time of a no-op trial: 64 trials in 2 slots, beside two bare processes that start 64 programs."""

import subprocess
import sys
import time
from typing import Any

from rich.table import Table

from benchmarks.measures.airflow_run import NOOP, PROGRAMS, run
from benchmarks.measures.trial_phases import phases
from tests.flow.airflow_under_test import merge
from tests.flow.embedded_airflow import EmbeddedAirflow

SLOTS = 2
REPEATS = 3
PACKED = 8
"""`trials_per_task` for trials of less than a second."""
COMMAND = {"trial": {"entry_point": None, "command": ["sh", "noop.sh"]}}

NAMES = {
    "entry_point": "Python entry point",
    "command": "command (a shell script of one line)",
    "packed": f"Python entry point, trials_per_task {PACKED}",
    "bare": "two bare processes",
}


def measure(started: EmbeddedAirflow, *, quick: bool) -> dict[str, Any]:
    """Seconds per trial: of the whole DAG run, and from ask's end to tell's start. Each the median of three runs."""
    trials, repeats = (16, 1) if quick else (64, REPEATS)
    size = {"batch_size": trials, "budget": {"trials": trials}, "backend": {"slots": SLOTS}}
    ways = {"entry_point": {}, "command": COMMAND, "packed": {"trials_per_task": PACKED}}
    found: dict[str, Any] = {"trials": trials, "slots": SLOTS}
    for way, changes in ways.items():
        spec = merge(merge(dict(NOOP), size), changes)
        runs = [run(started, f"noop_{way}_{number}", **spec) for number in range(repeats)]
        middle = sorted(runs, key=lambda each: each.wall_s)[repeats // 2]
        found[way] = _row(middle, trials) | {"all_wall_s": [round(each.wall_s, 3) for each in runs]}
        if way == "entry_point":
            found["phases"] = [
                [phase.name, round(phase.mean_s, 4), round(phase.median_s, 4)] for phase in phases(middle)
            ]
    bares = sorted(bare(trials) for _ in range(repeats))
    found["bare"] = {"s_per_trial": round(bares[repeats // 2], 4)}
    return found


def entry_point(started: EmbeddedAirflow, trials: int) -> dict[str, float]:
    """The headline's run alone."""
    size = {"batch_size": trials, "budget": {"trials": trials}, "backend": {"slots": SLOTS}}
    return _row(run(started, "noop", **merge(dict(NOOP), size)), trials)


def bare(trials: int) -> float:
    """Seconds per trial if two processes start all trials' programs themselves."""
    argv = [sys.executable, str(PROGRAMS / "bare_worker.py"), str(trials // SLOTS)]
    began = time.perf_counter()
    workers = [subprocess.Popen(argv) for _ in range(SLOTS)]
    if any(worker.wait() for worker in workers):
        raise RuntimeError("a bare worker failed")
    return (time.perf_counter() - began) / trials


def table(found: dict[str, Any]) -> Table:
    """The rows, fastest last."""
    shown = Table(title=f"No-op trials: {found['trials']} in {found['slots']} slots")
    shown.add_column("how")
    shown.add_column("s per trial", justify="right")
    shown.add_column("ask's end to tell's start", justify="right")
    for name, title in NAMES.items():
        if row := found.get(name):
            inner = f"{row['train_s_per_trial']:.3f}" if "train_s_per_trial" in row else ""
            shown.add_row(title, f"{row['s_per_trial']:.3f}", inner)
    return shown


def _row(measured: Any, trials: int) -> dict[str, float]:
    if len(measured.outcomes()) != trials:
        raise RuntimeError(f"{len(measured.outcomes())} of {trials} trials have an outcome")
    return {
        "s_per_trial": round(measured.wall_s / trials, 4),
        "train_s_per_trial": round(measured.train_s / trials, 4),
        "wall_s": round(measured.wall_s, 3),
    }
