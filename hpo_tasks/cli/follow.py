"""Following a run of the embedded Airflow until it is over: live on a terminal, a line per change elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.live import Live

from hpo_tasks.cli.outcomes import with_outcomes
from hpo_tasks.cli.places import Places, open_ledger, store_of
from hpo_tasks.cli.terminal import console, say
from hpo_tasks.errors import HpoError, InputError, IntegrityError, UnavailableError
from hpo_tasks.flow.embedded.rest import AirflowApi
from hpo_tasks.flow.steps.pin import read_pin
from hpo_tasks.report.progress import Progress, left, line, panel, progress
from hpo_tasks.report.text import duration, plain
from hpo_tasks.spec import StudySpec
from hpo_tasks.store import Store
from hpo_tasks.study.records import StudyHeader

if TYPE_CHECKING:
    from hpo_tasks.study.ledger import Ledger

POLL_S = 1.0
S3_POLL_S = 5.0
"""Each look reads the outcomes of the trials that run, which costs requests on S3."""
TASKS_POLL_S = 5.0
PATIENCE_S = 120.0
"""How long Airflow may be silent: its supervisor starts a dead part again."""
FAILURES_SHOWN = 5
TASK_EXITED = "Task exited"
"""What Airflow itself logs after a task has logged its error and ended."""
FINAL = frozenset({"success", "failed"})

Show = Callable[["View"], None]


@dataclass(frozen=True, slots=True)
class Run:
    """A DAG run and the study it works on."""

    dag_id: str
    run_id: str
    study: str
    url: str


@dataclass(frozen=True, slots=True)
class View:
    """What there is to show at a moment: `progress` None before the study exists, `note` for trouble."""

    progress: Progress | None
    note: str
    elapsed_s: float


@dataclass
class Follower:
    """Reads a run's state through REST, and its study from ledger and store once they are there."""

    api: AirflowApi
    run: Run
    where: Places
    began: float = field(default_factory=time.monotonic)
    _opened: tuple["Ledger", StudyHeader, Store, StudySpec] | None = None
    _answered: float = field(default_factory=time.monotonic)
    _tasks_read: float = 0.0
    _note: str = ""

    def until_done(self) -> str:
        """Follow until the run is over; returns its state, `success` or `failed`.

        Raises:
            UnavailableError: Airflow does not answer any more.
            InputError: the run was deleted.
        """
        with ExitStack() as stack:
            show = stack.enter_context(_display(self.run))
            while True:
                state = self._state()
                show(self._view(stack))
                if state in FINAL:
                    return state
                time.sleep(self._poll_s())

    def _poll_s(self) -> float:
        return S3_POLL_S if self._opened is not None and self._opened[2].uri.startswith("s3://") else POLL_S

    def _state(self) -> str:
        try:
            run = self.api.run(self.run.dag_id, self.run.run_id)
        except UnavailableError as error:
            if time.monotonic() - self._answered > PATIENCE_S:
                raise UnavailableError(
                    f"{error}; the run goes on when Airflow does: `hpo up`, then the same `hpo run` again"
                ) from None
            self._note = "Airflow does not answer; waiting for it"
            return "unknown"
        if run is None:
            raise InputError(f"the run {self.run.dag_id}/{self.run.run_id} was deleted")
        self._answered = time.monotonic()
        if self._answered - self._tasks_read > TASKS_POLL_S:
            self._tasks_read = self._answered
            self._note = self._waiting_for_retry()
        return str(run["state"])

    def _waiting_for_retry(self) -> str:
        """What failed and will be tried again, so that nobody waits for it without knowing."""
        try:
            for task in self.api.task_instances(self.run.dag_id, self.run.run_id):
                if task["state"] == "up_for_retry":
                    problem = last_error(self.api, self.run, task)
                    return plain(f"{name_of(task)} failed and will be retried: {problem}")
        except HpoError:
            return self._note
        return ""

    def _view(self, stack: ExitStack) -> View:
        if self._opened is None:
            self._opened = self._open(stack)
        state = None
        if self._opened is not None:
            ledger, header, store, spec = self._opened
            trials = with_outcomes(store, header, ledger.trials(header.study_id))
            state = progress(spec, trials, datetime.now(UTC))
        return View(state, self._note, time.monotonic() - self.began)

    def _open(self, stack: ExitStack) -> tuple["Ledger", StudyHeader, Store, StudySpec] | None:
        """The study, once `prepare` has made it; its pin is written before its ledger entry."""
        with ExitStack() as attempt:
            try:
                ledger = attempt.enter_context(open_ledger(self.where))
                header = ledger.study(self.run.study).header
            except (InputError, IntegrityError):
                return None  # no database yet, or no such study in it
            store = store_of(header, self.where)
            pin = read_pin(store, self.run.study)
            if pin is None:
                return None
            stack.enter_context(attempt.pop_all())
            return ledger, header, store, pin.spec


def failure_messages(api: AirflowApi, run: Run) -> list[str]:
    """`task: message` of the tasks that failed by themselves, in the order in which they ended."""
    failed = [task for task in api.task_instances(run.dag_id, run.run_id) if task["state"] == "failed"]
    # conclude fails whenever a task before it did, and then says only that.
    causes = [task for task in failed if task["task_id"] != "conclude"] or failed
    causes.sort(key=lambda task: str(task.get("end_date") or ""))
    return [f"{name_of(task)}: {last_error(api, run, task)}" for task in causes[:FAILURES_SHOWN]]


def name_of(task: Mapping[str, Any]) -> str:
    """The task's id; within a loop with the iteration, as Airflow's UI counts it."""
    loop = task.get("loop_iteration")
    return f"{task['task_id']} (iteration {loop['iteration']})" if loop else str(task["task_id"])


def last_error(api: AirflowApi, run: Run, task: Mapping[str, Any]) -> str:
    """What the newest try of a task logged last as an error."""
    logged = api.log_errors(run.dag_id, run.run_id, task)
    errors = [message for message in logged if message != TASK_EXITED]
    return errors[-1] if errors else "no message; its log is in Airflow's UI"


@contextmanager
def _display(run: Run) -> Iterator[Show]:
    output = console(sys.stderr)
    if not output.is_terminal:
        yield _lines()
        return
    with Live(console=output, auto_refresh=False, transient=True) as live:

        def show(view: View) -> None:
            title = f"{plain(run.dag_id)}  {plain(run.run_id)}  {duration(view.elapsed_s)}"
            live.update(panel(title, view.progress, view.note), refresh=True)

        yield show


def _lines() -> Show:
    """A line whenever a trial was recorded, a better one was found, or there is news of trouble."""
    shown: list[object] = [None, ""]

    def show(view: View) -> None:
        state = view.progress
        if view.note and view.note != shown[1]:
            say(view.note)
        key = (
            None
            if state is None
            else (state.rounds_done, state.recorded, [trial.number for trial in state.best])
        )
        if state is not None and key != shown[0]:
            say(" · ".join(filter(None, (line(state), left(state)))))
        shown[:] = [key, view.note]

    return show
