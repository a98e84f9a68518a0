"""What can be done to an Airflow that runs: each deed says whom it hit, or that there was nobody to hit.

A deed whose name begins with `pause-` stops something (SIGSTOP) and lets it go on (SIGCONT); all others kill.
"""

import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psutil

from hpo_tasks.flow.embedded.control import StartError, is_held
from tests.flow.airflow_under_test import AirflowUnderTest, until
from tests.flow.celery_stack import CeleryStack
from tests.flow.embedded_airflow import EmbeddedAirflow
from tests.nemesis.schedule import Step

PAUSE = "pause-"
ZOMBIE = 3
"""How many times as long as others a worker is stopped."""
NOBODY_S = 15.0
"""How long to wait for a victim."""
TRIAL_PARENT = "hpo_tasks.backends.trial_parent"
Deed = Callable[[Step], str | None]


class Nemesis(ABC):
    """The deeds against one Airflow.

    Attributes:
        airflow: the victim.
        deck: how often each deed is done in one round of the schedule: 25 kills, and some pauses.
        deeds: by name.
    """

    deck: Mapping[str, int]

    def __init__(self, airflow: AirflowUnderTest) -> None:
        self.airflow = airflow
        self.deeds: dict[str, Deed] = {
            "trial": lambda step: self._kill_one(self.airflow.trials, step),
            "runner": lambda step: self._kill_one(self.runners, step),
            "trial-parent": lambda step: self._kill_one(self.trial_parents, step),
            "task": lambda step: self._kill_one(self.tasks, step),
            "task-watcher": lambda step: self._kill_one(self.task_watchers, step),
            "pause-trial": lambda step: self._pause_one(self.airflow.trials, step),
            "pause-task": lambda step: self._pause_one(self.tasks, step),
        }

    def do(self, step: Step) -> str | None:
        """Do it; whom it hit, None if nobody was there. Things that are killed are running again or about to."""
        return self.deeds[step.deed](step)

    @abstractmethod
    def task_watchers(self) -> list[psutil.Process]:
        """The executor's processes, each of which starts one task at a time and watches it."""

    def tasks(self) -> list[psutil.Process]:
        """Processes that run Airflow's tasks."""
        found = [task for watcher in self.task_watchers() for task in children(watcher, recursive=True)]
        return [process for process in found if TRIAL_PARENT not in command_of(process)]

    def runners(self) -> list[psutil.Process]:
        """Processes that hold the trials: each is the parent of a user's program."""
        found = []
        for trial in self.airflow.trials():
            with suppress(psutil.Error):
                found.append(trial.parent())
        return [runner for runner in found if runner is not None and TRIAL_PARENT in command_of(runner)]

    def trial_parents(self) -> list[psutil.Process]:
        """Processes that jobs are forked from, which share the command line with them but not the lock."""
        folder = str(self.airflow.ledger.parent)
        found = []
        for process in psutil.process_iter():
            command = command_of(process)
            if TRIAL_PARENT in command and folder in command and _holds_a_lock(process):
                found.append(process)
        return found

    def _kill_one(self, victims: Callable[[], Sequence[psutil.Process]], step: Step) -> str | None:
        victim = pick(victims, step)
        if victim is None:
            return None
        kill([victim])
        return f"process {victim.pid}"

    def _pause_one(self, victims: Callable[[], Sequence[psutil.Process]], step: Step) -> str | None:
        victim = pick(victims, step)
        if victim is None:
            return None
        with stopped([victim]):
            let_pass(step.away_s)
        return f"process {victim.pid} for {step.away_s} s"


class EmbeddedNemesis(Nemesis):
    """Against the embedded Airflow."""

    airflow: EmbeddedAirflow
    deck = {  # noqa: RUF012 - a class's table
        "trial": 7, "runner": 3, "trial-parent": 1, "task": 5, "task-watcher": 1, "scheduler": 2, "api-server": 2, "dag-processor": 1,
        "triggerer": 1, "supervisor": 1, "everything": 1,
        "pause-trial": 1, "pause-task": 1, "pause-scheduler": 1, "pause-api-server": 1,
    }  # fmt: skip

    def __init__(self, airflow: EmbeddedAirflow) -> None:
        super().__init__(airflow)
        for part in ("scheduler", "api-server", "dag-processor", "triggerer"):
            self.deeds[part] = lambda step, part=part: self._kill_one(lambda: [airflow.part(part)], step)
            self.deeds[PAUSE + part] = lambda step, part=part: self._pause_one(
                lambda: [airflow.part(part)], step
            )
        self.deeds["supervisor"] = self._supervisor
        self.deeds["everything"] = self._everything

    def task_watchers(self) -> list[psutil.Process]:
        return children(self.airflow.part("scheduler"))

    def _supervisor(self, step: Step) -> str | None:
        """The supervisor alone; a person starts it again, and it ends what the dead one left."""
        del step
        victim = self.airflow.supervisor()
        kill([victim])
        self._start_again()
        return f"process {victim.pid}"

    def _everything(self, step: Step) -> str | None:
        """Supervisor, Airflow, tasks, runners and trials; a person starts it again."""
        del step
        victims = [*self.airflow.processes(), *self.runners(), *self.trial_parents()]
        kill(victims)
        self._start_again()
        return f"{len(victims)} processes"

    def _start_again(self) -> None:
        """On a busy machine it takes longer than `start` waits."""
        while True:
            try:
                return self.airflow.start()
            except StartError:
                if not is_held(self.airflow.home.lock):
                    raise


class CeleryNemesis(Nemesis):
    """Against the Celery stack. Kills of services are kills of whole containers, which are started again."""

    airflow: CeleryStack
    deck = {  # noqa: RUF012 - a class's table
        "trial": 6, "runner": 2, "trial-parent": 1, "task": 4, "task-watcher": 1, "worker": 2, "scheduler": 2, "api-server": 1,
        "dag-processor": 1, "triggerer": 1, "postgres": 1, "redis": 1, "object-store": 1, "everything": 1,
        "pause-worker": 1, "pause-scheduler": 1, "pause-redis": 1, "pause-task": 1,
    }  # fmt: skip

    def __init__(self, airflow: CeleryStack) -> None:
        super().__init__(airflow)
        for name in ("scheduler", "api-server", "dag-processor", "triggerer", "redis", "object-store"):
            self.deeds[name] = lambda step, name=name: self._container(name)
            self.deeds[PAUSE + name] = lambda step, name=name: self._pause_container(name, step)
        self.deeds["worker"] = lambda step: self._container(self._a_worker(step))
        self.deeds["pause-worker"] = self._pause_worker
        self.deeds["postgres"] = self._postgres
        self.deeds["everything"] = self._everything

    def task_watchers(self) -> list[psutil.Process]:
        mains = [self.airflow.containers[name].main_process() for name in self.airflow.workers]
        return [process for main in mains if main for process in children(main)]

    def _a_worker(self, step: Step) -> str:
        return self.airflow.workers[int(step.choice * len(self.airflow.workers))]

    def _container(self, name: str) -> str | None:
        count = len(self.airflow.containers[name].processes())
        self.airflow.kill(name)
        return f"{name}, {count} processes" if count else None

    def _pause_container(self, name: str, step: Step) -> str | None:
        victims = self.airflow.containers[name].processes()
        with stopped(victims):
            let_pass(step.away_s)
        return f"{name}, {len(victims)} processes, for {step.away_s} s" if victims else None

    def _pause_worker(self, step: Step) -> str | None:
        """Long enough to be taken for dead, with a short HPO_WORKER_TIMEOUT_S: then its tasks run twice."""
        longer = replace(step, away_s=ZOMBIE * step.away_s)
        return self._pause_container(self._a_worker(step), longer)

    def _postgres(self, step: Step) -> str | None:
        self.airflow.postgres.crash()
        let_pass(step.away_s)
        self.airflow.postgres.start_again()
        return f"away for {step.away_s} s"

    def _everything(self, step: Step) -> str | None:
        del step
        count = len(self.airflow.processes())
        self.airflow.kill_everything()
        self.airflow.start()
        return f"{count} processes and PostgreSQL"


def pick(victims: Callable[[], Sequence[psutil.Process]], step: Step) -> psutil.Process | None:
    """One of them, as the step chooses, which still lives after the step's delay; None if there is none for a while."""

    def chosen() -> psutil.Process | None:
        ordered = sorted(victims(), key=lambda process: process.pid)
        if not ordered:
            return None
        victim = ordered[int(step.choice * len(ordered))]
        let_pass(step.delay_s)
        return victim if lives(victim) else None

    try:
        return until(chosen, timeout_s=NOBODY_S, what="a victim")
    except AssertionError:
        return None


def kill(victims: Sequence[psutil.Process]) -> None:
    """All at once; returns when they are gone."""
    for process in victims:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(victims, timeout=20)


@contextmanager
def stopped(victims: Sequence[psutil.Process]) -> Iterator[None]:
    """Neither runs nor ends as long as the context lasts."""
    for process in victims:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in victims:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)


def let_pass(seconds: float) -> None:
    """A pause is a length of time: there is no condition to wait for."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 1.0))


def lives(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def children(process: psutil.Process, *, recursive: bool = False) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return process.children(recursive=recursive)
    return []


def command_of(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def _holds_a_lock(process: psutil.Process) -> bool:
    """Whether it has the lock of the trial parents open: what it forks closes that."""
    with suppress(OSError):
        files = [link.readlink() for link in Path(f"/proc/{process.pid}/fd").iterdir()]
        return any(file.parent.name == "parents" and file.suffix == ".lock" for file in files)
    return False
