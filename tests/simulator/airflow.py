"""Airflow as the product sees it: task instances with retries and trigger rules, and everything it does wrong.

It can start a task twice, believe that a task failed which goes on, forget that one succeeded, and clear anything at
any moment. Once the faults are used up, a person clears what failed, as the message of `conclude` says.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hpo_tasks.errors import UnavailableError
from tests.simulator.backend import SimulatedBackend
from tests.simulator.scheduler import Process, Scheduler

HOSTS = ("worker-1", "worker-2", "worker-3")
SIGKILL_AFTER_S = 5.0
RETRY_S = 10.0
RETRIES = 3
MAX_CLEARS = 40
FAULTS = (
    "starts a task twice",
    "loses a running task",
    "forgets a success",
    "clears a task",
    "clears a task and what follows",
    "clears the whole run",
    "kills a task",
    "kills a host",
    "kills everything",
    "stops a process",
    "concludes early",
    "loses a job",
    "believes that a job is lost",
    "starts a job twice",
)
DONE = ("success", "failed", "skipped", "upstream_failed")


class Skip(Exception):  # noqa: N818 - Airflow's name for it is DownstreamTasksSkipped
    """Ask or tell found the study at its end: everything up to conclude is skipped."""


@dataclass(eq=False)
class Task:
    """A task instance.

    Attributes:
        work: what a process of it does, given the process.
        rule: `all_success`, `all_done`, or `one_success`: all done and at least one of them a success.
        state: None until it is started; then running, retry, or one of DONE.
    """

    name: str
    work: Callable[[Process], Any]
    upstream: list["Task"]
    rule: str = "all_success"
    state: str | None = None
    tries: int = 0
    at_s: float = 0.0
    processes: list[Process] = field(default_factory=list)
    xcom: Any = None


@dataclass(eq=False)
class Run:
    """A DAG run.

    Attributes:
        works: makes the work of a task: kind, round, map index → what its process does.
        is_over: whether a run whose conclude failed has come to its end all the same.
    """

    name: str
    rounds: int
    slots: int
    works: Callable[[str, int, int], Callable[[Process], Any]]
    is_over: Callable[[], bool]
    tasks: dict[str, Task] = field(default_factory=dict)
    clears: int = 0

    def __post_init__(self) -> None:
        prepare = self._add("prepare", "prepare", [])
        before = prepare
        for round_ in range(self.rounds):
            ask = self._add(f"ask[{round_}]", "ask", [prepare, before], round_=round_)
            before = self._add(f"tell[{round_}]", "tell", [ask], "one_success", round_=round_)
        self._add("conclude", "conclude", [before], "all_done")

    def expand(self, round_: int, works: Sequence[Any]) -> None:
        """Make the mapped train tasks, one for each piece of work that ask returned."""
        ask, tell = self.tasks[f"ask[{round_}]"], self.tasks[f"tell[{round_}]"]
        for index in range(len(works)):
            if f"train[{round_},{index}]" not in self.tasks:
                train = self._add(f"train[{round_},{index}]", "train", [ask], round_=round_, index=index)
                tell.upstream.append(train)

    def following(self, task: Task) -> list[Task]:
        """The task and everything after it."""
        found = [task]
        for each in found:
            found += [t for t in self.tasks.values() if each in t.upstream and t not in found]
        return found

    @property
    def conclude(self) -> Task:
        return self.tasks["conclude"]

    def _add(
        self,
        name: str,
        kind: str,
        upstream: list[Task],
        rule: str = "all_success",
        *,
        round_: int = 0,
        index: int = 0,
    ) -> Task:
        task = Task(f"{self.name}{name}", self.works(kind, round_, index), upstream, rule)
        self.tasks[name] = task
        return task


class Airflow:
    """Implements `Environment`.

    Attributes:
        problems: what does not come to an end.
        unexpected: told of a process that ended with an error which no retry mends.
    """

    def __init__(self, scheduler: Scheduler, backend: SimulatedBackend, runs: list[Run]) -> None:
        self.runs = runs
        self.problems: list[str] = []
        self.unexpected: Callable[[Process], None] = lambda _: None
        self._scheduler = scheduler
        self._backend = backend
        self._count = 0
        self._changes, self._seen = 1, 0
        self._retrying = False

    # The scheduler.

    def act(self) -> bool:
        """Start the next task that may run, or let the person clear what failed."""
        retry_at_s = self.next_at_s()
        if self._seen == self._changes and (retry_at_s is None or retry_at_s > self._scheduler.now_s):
            return self._look_after()
        seen = self._changes
        if any(self._advance(run) for run in self.runs):
            return True
        self._seen = seen
        return self._look_after()

    def next_at_s(self) -> float | None:
        """When the next retry is due."""
        if not self._retrying:
            return None
        waiting = [task.at_s for run in self.runs for task in run.tasks.values() if task.state == "retry"]
        self._retrying = bool(waiting)
        return min(waiting, default=None)

    def _advance(self, run: Run) -> bool:
        for task in run.tasks.values():
            if task.state == "retry" and task.at_s <= self._scheduler.now_s:
                self._start(run, task)
                return True
            if task.state is None and (decision := _decide(task)) is not None:
                if decision != "run":
                    task.state = decision
                elif self._has_room(run, task):
                    self._start(run, task)
                else:
                    continue
                return True
        return False

    def _has_room(self, run: Run, task: Task) -> bool:
        """`max_active_tis_per_dagrun` of the train tasks."""
        running = [t for t in run.tasks.values() if t.state == "running" and "train" in t.name]
        return "train" not in task.name or len(running) < run.slots

    def _start(self, run: Run, task: Task) -> None:
        task.state, task.xcom = "running", None
        task.tries += 1
        task.processes.append(self._spawn(run, task))

    def _spawn(self, run: Run, task: Task) -> Process:
        self._count += 1
        host = HOSTS[self._count % len(HOSTS)]
        process = self._scheduler.start(
            f"{task.name}#{self._count}",
            host,
            lambda: task.work(process),
            lambda p: self._ended(run, task, p),
        )
        self._say(f"starts {process.name} on {host}")
        return process

    def _ended(self, run: Run, task: Task, process: Process) -> None:
        """A process of the task ended: Airflow hears of it if it still listens to that process."""
        if process.error is not None and not isinstance(process.error, UnavailableError | Skip):
            self.unexpected(process)
        if process not in task.processes or task.state != "running":
            return
        self._changes += 1
        task.processes.remove(process)
        if process.error is None and not process.killed:
            task.state, task.xcom = "success", process.result
            if "ask" in task.name:
                run.expand(int(task.name.partition("[")[2].rstrip("]")), process.result)
        elif isinstance(process.error, Skip):
            task.state = "success"
            for later in run.following(task):
                if later.state is None and later is not run.conclude:
                    later.state = "skipped"
        elif isinstance(process.error, UnavailableError) or process.killed:
            self._retry(task)
        else:
            task.state = "failed"

    def is_taken_away(self, task: Task) -> bool:
        """What a process of the task is told when it asks whether anybody waits for its job."""
        does_not_answer = self._scheduler.faults.chance(0.1)
        return not does_not_answer and task.state not in ("running", "retry")

    def _retry(self, task: Task) -> None:
        task.state = "retry" if task.tries <= RETRIES else "failed"
        self._changes += 1
        self._retrying = True
        task.at_s = self._scheduler.now_s + RETRY_S * 2 ** (task.tries - 1)

    # The person.

    def _look_after(self) -> bool:
        """When nothing moves any more: clear what failed, and everything after it."""
        if self._scheduler.processes or self.next_at_s() is not None:
            return False
        for run in self.runs:
            if run.conclude.state in ("success", "cleared for good") or (
                run.conclude.state == "failed" and run.is_over()
            ):
                continue
            if run.clears == MAX_CLEARS:
                self.problems.append(f"{run.name}: cleared {MAX_CLEARS} times, and still not at its end")
                run.conclude.state = "cleared for good"
                continue
            run.clears += 1
            failed = next(t for t in run.tasks.values() if t.state in ("failed", "upstream_failed"))
            self._say(f"a person clears {failed.name} and what follows")
            for task in run.following(failed):
                self._clear(task)
            return True
        return False

    def _clear(self, task: Task) -> None:
        task.state, task.tries, task.processes = None, 0, []
        self._changes += 1

    # What goes wrong.

    def disturb(self) -> None:
        kind = self._scheduler.faults.of_airflow()
        if kind is not None:
            getattr(self, f"_{kind.replace(' ', '_')}")()

    def _starts_a_task_twice(self) -> None:
        if found := self._pick_task("running"):
            run, task = found
            task.processes.append(self._spawn(run, task))

    def _loses_a_running_task(self) -> None:
        """No heartbeat is heard: the task is retried or failed, and its process may go on."""
        if found := self._pick_task("running"):
            _, task = found
            self._say(f"believes that {task.name} is dead")
            self._let_go(task)
            if self._scheduler.faults.chance(0.3):
                task.tries = RETRIES + 1
            self._retry(task)

    def _forgets_a_success(self) -> None:
        if found := self._pick_task("success"):
            _, task = found
            self._say(f"believes that {task.name} failed")
            self._retry(task)

    def _clears_a_task(self) -> None:
        if found := self._pick_task("running", "success", "failed", "upstream_failed"):
            self._clear_running([found[1]])

    def _clears_a_task_and_what_follows(self) -> None:
        if found := self._pick_task("running", "success", "failed", "upstream_failed"):
            run, task = found
            self._clear_running(run.following(task))

    def _clears_the_whole_run(self) -> None:
        self._clear_running(list(self._pick(self.runs).tasks.values()))

    def _clear_running(self, tasks: list[Task]) -> None:
        self._say(f"clears {' '.join(task.name for task in tasks)}")
        for task in tasks:
            self._let_go(task)
            self._clear(task)

    def _let_go(self, task: Task) -> None:
        """Airflow tells the task's processes to end. One that it does not reach goes on for as long as it likes."""
        for process in task.processes:
            if self._scheduler.faults.chance(0.6):
                process.terminate()
                self._scheduler.later(
                    SIGKILL_AFTER_S, f"SIGKILL for {process.name}", _killing(self._scheduler, process)
                )
        task.processes = []

    def _kills_a_task(self) -> None:
        if self._scheduler.processes:
            self._scheduler.kill(self._pick(self._scheduler.processes))

    def _kills_a_host(self) -> None:
        host = self._pick((*HOSTS, "cloud"))
        self._say(f"{host} dies")
        for process in [process for process in self._scheduler.processes if process.host == host]:
            self._scheduler.kill(process)

    def _kills_everything(self) -> None:
        for host in HOSTS:
            for process in [process for process in self._scheduler.processes if process.host == host]:
                self._scheduler.kill(process)

    def _stops_a_process(self) -> None:
        if self._scheduler.processes:
            process = self._pick(self._scheduler.processes)
            self._say(f"SIGSTOP for {process.name}")
            until_s = self._scheduler.now_s + self._scheduler.faults.pause_s()
            process.wake_at_s = max(process.wake_at_s, until_s)

    def _concludes_early(self) -> None:
        run = self._pick(self.runs)
        if run.tasks["prepare"].state == "success" and run.conclude.state is None:
            self._start(run, run.conclude)

    def _loses_a_job(self) -> None:
        if alive := self._backend.alive():
            self._backend.lose(self._pick(alive), really=True)

    def _believes_that_a_job_is_lost(self) -> None:
        if alive := self._backend.alive():
            self._backend.lose(self._pick(alive), really=False)

    def _starts_a_job_twice(self) -> None:
        if alive := self._backend.alive():
            self._backend.start_again(self._pick(alive).job)

    def _pick_task(self, *states: str) -> tuple[Run, Task] | None:
        found = [(run, task) for run in self.runs for task in run.tasks.values() if task.state in states]
        return self._pick(found) if found else None

    def _pick(self, candidates):
        return self._scheduler.faults.pick(candidates)

    def _say(self, what: str) -> None:
        self._scheduler.say(f"airflow: {what}")


def _killing(scheduler: Scheduler, process: Process) -> Callable[[], None]:
    return lambda: scheduler.kill(process)


def _decide(task: Task) -> str | None:
    """What the trigger rule says: `run`, a final state, or None while it waits."""
    states = [up.state for up in task.upstream]
    if task.rule == "all_success":
        if any(state in ("failed", "upstream_failed") for state in states):
            return "upstream_failed"
        if "skipped" in states:
            return "skipped"
        return "run" if all(state == "success" for state in states) else None
    if any(state not in DONE for state in states):
        return None
    if task.rule == "one_success" and "success" not in states:
        return "upstream_failed"
    return "run"
