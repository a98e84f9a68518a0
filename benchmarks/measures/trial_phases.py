"""Where a trial's time goes: the moments that Airflow, the runner and the trial note down, in order."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from pathlib import Path

from benchmarks.measures.airflow_run import Run, Task
from hpo_tasks.trial.layout import AttemptKey, SlotKey

WAITING = "waits for a slot"

PHASES: Mapping[str, str] = {
    "scheduler hop": "an earlier task ended → this one is queued",
    "executor": "→ Airflow's supervisor says that the task runs",
    "process start": "→ the forked task process begins to work",
    "DAG import": "→ the DAG file is parsed",
    "task set-up": "→ context, templates and label are there",
    "task's own work": "→ pin and batch are read",
    WAITING: "→ a slot is free, the request is written",
    "runner start": "→ the runner has claimed the attempt",
    "scratch": "→ folders and code are there, the user's process begins",
    "user imports": "→ the user's module is imported",
    "train": "→ the user's function returns",
    "upload": "→ the outcome is committed",
    "noticed": "→ the train task has seen it",
    "task end": "→ the task has ended",
}
"""Phase → from the moment of the phase before to what. Tasks start ahead of a free slot: what comes before the wait
goes on while other trials train."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase over all trials; `share` of the tasks' whole time."""

    name: str
    mean_s: float
    median_s: float
    max_s: float
    share: float


def phases(run: Run) -> list[Phase]:
    """The phases of the run's trials: they add up to the life of a train task. One trial to a task."""
    chains = [durations(moments) for moments in _trials(run)]
    whole = sum(sum(chain.values()) for chain in chains)
    found = []
    for name in PHASES:
        values = [chain[name] for chain in chains]
        share = sum(values) / whole if whole else 0.0
        found.append(Phase(name, statistics.mean(values), statistics.median(values), max(values), share))
    return found


def durations(moments: Sequence[float | None]) -> dict[str, float]:
    """Seconds of each phase, from the moments between them.

    A moment that is unknown, or lies before the one before it (two clocks, a process that was there already), ends
    its phase at once: the time counts for the next phase.

    Args:
        moments: one more than there are phases; the first and the last are known.
    """
    found = {}
    last = moments[0]
    if last is None or moments[-1] is None:
        raise ValueError("the first and the last moment must be known")
    for name, moment in zip(PHASES, moments[1:], strict=True):
        here = last if moment is None else max(last, moment)
        found[name] = here - last
        last = here
    return found


def free_since(tasks: Sequence[Task], lanes: int, begin: float) -> dict[int, float]:
    """Map index → when the task could have been queued, if each takes the place that is free for longest.

    Args:
        tasks: which have ended.
        lanes: how many may be queued or running at once.
        begin: when the first ones could.
    """
    free = [begin] * lanes
    found = {}
    for task in sorted(tasks, key=lambda task: task.queued or 0.0):
        found[task.map_index] = free.pop(0)
        free.append(task.ended or 0.0)
        free.sort()
    return found


def at_once(tasks: Sequence[Task]) -> int:
    """How many tasks were queued or running at the same moment, at most."""
    moments = [(task.queued or 0.0, 1) for task in tasks] + [(task.ended or 0.0, -1) for task in tasks]
    return max(accumulate(change for _, change in sorted(moments)))


def _trials(run: Run) -> Iterator[list[float | None]]:
    asked = min(task.ended for task in run.of("ask") if task.ended is not None)
    tasks = run.of("train")
    free = free_since(tasks, at_once(tasks), asked)
    for outcome, task in zip(run.outcomes(), sorted(tasks, key=lambda task: task.map_index), strict=True):
        key = SlotKey(run.study, outcome["round"], outcome["slot"]).attempt(outcome["attempt"])
        noted = outcome["metrics"]
        yield [
            free[task.map_index],
            task.queued,
            task.began,
            *_logged(run, task),
            _written(run.store, key.request),
            _written(run.store, key.started),
            noted.get("process_began"),
            noted.get("imported"),
            noted.get("trained"),
            _written(run.store, key.trial.outcome),
            _seen(run, task),
            task.ended,
        ]


def _logged(run: Run, task: Task) -> tuple[float | None, ...]:
    """When the task process began, had parsed the DAG file, called the operator, and began to wait for a slot."""
    begun = parsed = ready = waiting = None
    for line in run.log(task):
        match line["event"].partition(": ")[0]:
            case "::group::Pre Execute":
                begun = _at(line)
            case "Worker startup parse complete":
                parsed = _at(line)
            case "::endgroup::" if ready is None:
                ready = _at(line)
            case "waiting" if waiting is None:
                waiting = _at(line)
    return begun, parsed, ready, waiting


def _seen(run: Run, task: Task) -> float | None:
    return next((_at(line) for line in run.log(task) if line["event"] == "::group::Post Execute"), None)


def _at(line: Mapping[str, str]) -> float:
    return datetime.fromisoformat(line["timestamp"]).timestamp()


def _written(store: Path, key: AttemptKey | str) -> float | None:
    path = store / str(key)
    return path.stat().st_mtime if path.exists() else None
