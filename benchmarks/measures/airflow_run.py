"""An embedded Airflow to measure on, and what one DAG run left behind in it."""

import json
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hpo_tasks.flow.embedded import home
from tests.flow.airflow_under_test import FINAL
from tests.flow.embedded_airflow import EmbeddedAirflow

PROGRAMS = Path(__file__).parents[1] / "programs"
TRIAL_CODE = Path(__file__).parents[1] / "trial_code"
LOOK_EVERY_S = 2.0
"""Seldom: each look is a request that the measured Airflow answers. Durations are Airflow's own, not those between looks."""

NOOP: Mapping[str, Any] = {
    "optimizer": {"sampler": "random", "seed": 1},
    "trial": {
        "command": None,
        "env": None,
        "code": {"dir": str(TRIAL_CODE)},
        "entry_point": "noop:objective",
    },
}
"""Changes to the tests' study file: a trial that does nothing. Random, so that sampling is none of the cost."""


@dataclass(frozen=True, slots=True)
class Task:
    """A task instance; moments are Unix seconds, None if it never came so far."""

    task_id: str
    map_index: int
    state: str
    queued: float | None
    began: float | None
    ended: float | None

    @property
    def name(self) -> str:
        return self.task_id.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Run:
    """A DAG run that is over.

    Attributes:
        dag_id, run_id: which.
        began, ended: Unix seconds, by Airflow's own clock.
        tasks: its task instances.
        study: id of its study.
        store: the object store's folder.
        logs: Airflow's log folder.
    """

    dag_id: str
    run_id: str
    began: float
    ended: float
    tasks: tuple[Task, ...]
    study: str
    store: Path
    logs: Path

    @property
    def wall_s(self) -> float:
        return self.ended - self.began

    @property
    def train_s(self) -> float:
        """From the end of the first ask to the start of the last tell."""
        asked = min(task.ended for task in self.of("ask") if task.ended is not None)
        told = max(task.began for task in self.of("tell") if task.began is not None)
        return told - asked

    def of(self, name: str) -> list[Task]:
        """The tasks of all rounds that are called `ask`, `train` or `tell` and did something."""
        return [task for task in self.tasks if task.name == name and task.state == "success"]

    def outcomes(self) -> list[dict[str, Any]]:
        """The outcomes of all trials, by round and slot."""
        found = sorted((self.store / "studies" / self.study).glob("[0-9]*/[0-9]*/outcome.json"))
        return [json.loads(path.read_bytes()) for path in found]

    def log(self, task: Task) -> list[dict[str, Any]]:
        """The lines of the task's log."""
        folder = self.logs / f"dag_id={self.dag_id}" / f"run_id={self.run_id}" / f"task_id={task.task_id}"
        if task.map_index >= 0:
            folder /= f"map_index={task.map_index}"
        return [json.loads(line) for line in (folder / "attempt=1.log").read_text().splitlines()]


@contextmanager
def airflow(cores: int | None = None) -> Iterator[EmbeddedAirflow]:
    """A new embedded Airflow that has already run one study of a few trials: imports compiled, caches filled.

    Args:
        cores: set up for a machine with so many processors; None: for this one.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that an Airflow does not outlive its benchmark
    with tempfile.TemporaryDirectory(prefix="hpo-bench-") as folder, ExitStack() as stack:
        if cores is not None:
            stack.enter_context(patch.object(home, "cores", lambda: cores))
        started = EmbeddedAirflow(Path(folder))
        started.start()
        stack.callback(started.stop)
        started.airflow("pools", "set", home.POOL, str(home.pool_slots()), "train tasks of local trials")
        run(started, "warm_up", batch_size=4, budget={"trials": 4}, **NOOP)
        yield started


def run(started: EmbeddedAirflow, stem: str, *, timeout_s: float = 900.0, **changes: Any) -> Run:
    """Write a study file, run its DAG once and wait until the run is over.

    Args:
        started: a running Airflow.
        stem: name of the study file.
        timeout_s: how long the run may take.
        changes: what differs from the tests' study file.

    Raises:
        RuntimeError: the run failed or took too long.
    """
    dag_id = started.write(stem, **changes)
    started.wait_for_dag(dag_id)
    run_id = started.trigger(dag_id)
    deadline = time.monotonic() + timeout_s
    while (document := started.run(dag_id, run_id))["state"] not in FINAL:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{dag_id}: not finished within {timeout_s:.0f} s")
        time.sleep(LOOK_EVERY_S)
    if document["state"] != "success":
        raise RuntimeError(f"{dag_id}: the run failed; see {started.home.airflow / 'logs'}")
    tasks = tuple(_task(row) for row in started.tasks(dag_id, run_id).values())
    return Run(
        dag_id=dag_id,
        run_id=run_id,
        began=_moment(document["start_date"]) or 0.0,
        ended=_moment(document["end_date"]) or 0.0,
        tasks=tasks,
        study=_study(started, dag_id, run_id),
        store=started.home.store,
        logs=started.home.airflow / "logs",
    )


def _study(started: EmbeddedAirflow, dag_id: str, run_id: str) -> str:
    path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/prepare/xcomEntries/return_value"
    value = started.http.get(path).raise_for_status().json()["value"]
    handle = json.loads(value) if isinstance(value, str) else value
    return str(handle["study"])


def _task(row: Mapping[str, Any]) -> Task:
    return Task(
        task_id=row["task_id"],
        map_index=row["map_index"],
        state=row["state"] or "",
        queued=_moment(row["queued_when"]),
        began=_moment(row["start_date"]),
        ended=_moment(row["end_date"]),
    )


def _moment(text: str | None) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None
