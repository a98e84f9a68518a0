"""Airflow operators of a study: thin shells that hand the context to the steps and translate errors.

No field is a Jinja template, so no string of a study is ever rendered.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from airflow.sdk import BaseOperator, Context
from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy
from airflow.sdk.exceptions import AirflowRuntimeError

from hpo_tasks.errors import HpoError, InputError, UnavailableError
from hpo_tasks.flow.steps.run import StudyHandle, TrainWork
from hpo_tasks.spec import StudySpec

PREPARE = "prepare"
_STILL_TO_RUN = {"running", "queued", "scheduled", "up_for_retry", "up_for_reschedule", "deferred"}
"""States of a task instance in which some process runs it or Airflow will start one."""

log = logging.getLogger(__name__)


class TaskFailedError(SystemExit):
    """Ends a task whose error was already logged as one message.

    A SystemExit, because Airflow logs any other exception with its traceback.
    """

    def __init__(self, error: HpoError) -> None:
        super().__init__(1)
        self.error = error


class RetryUnavailable(RetryPolicy):
    """Retries what may succeed later; fails at once what a person has to change."""

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Airflow's port: decide about one failure."""
        del try_number, max_tries, context
        if isinstance(exception, TaskFailedError) and not isinstance(exception.error, UnavailableError):
            return RetryDecision.fail()
        return RetryDecision.default()


class StudyOperator(BaseOperator):
    """Base of a study's tasks: one message instead of a traceback for what a person can mend."""

    template_fields: Sequence[str] = ()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(retry_policy=kwargs.pop("retry_policy", None) or RetryUnavailable(), **kwargs)

    def execute(self, context: Context) -> Any:
        """Do the task's work; an error of this package, or an API server that is away, is logged as its message alone."""
        return self._run(context)

    def _run(self, context: Context) -> Any:
        failed: HpoError
        try:
            return self.work(context)
        except HpoError as error:
            failed = error
        except AirflowRuntimeError as error:  # what a question to Airflow raises: a connection, an XCom
            failed = UnavailableError(f"Airflow's API server does not answer as it should: {error}")
        self.log.error("%s", failed)
        raise TaskFailedError(failed)

    def work(self, context: Context) -> Any:
        """What the task does."""
        raise NotImplementedError


class PrepareOperator(StudyOperator):
    """Pins the study; returns where it lies."""

    ui_color = "#e8f0fe"

    def __init__(
        self, *, spec: StudySpec | None, study_file: Path | None, rounds: int, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        self.study_file = study_file
        self.rounds = rounds

    def work(self, context: Context) -> Any:
        from hpo_tasks.flow.tasks import prepare_task

        return prepare_task(context, self.spec, self.study_file, self.rounds)


class AskOperator(StudyOperator):
    """Samples the round's batch; returns the work of each train task, or skips what follows at the study's end.

    Args:
        round_: the round's number; None: the one that the ledger has open.
        skips: ids of the tasks that the study's end makes superfluous.
    """

    ui_color = "#e6f4ea"

    def __init__(self, *, round_: int | None, skips: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.round_ = round_
        self.skips = list(skips)

    def work(self, context: Context) -> list[TrainWork]:
        from hpo_tasks.flow.tasks import ask_task

        work = ask_task(handle(context), self.round_)
        if work is None:
            _skip(self.skips)
        return work


class TrainOperator(StudyOperator):
    """Trains slots of the round until their outcomes are committed. Where jobs run elsewhere it is deferred meanwhile."""

    ui_color = "#fef7e0"

    def __init__(self, *, work_: TrainWork, **kwargs: Any) -> None:
        super().__init__(do_xcom_push=False, **kwargs)
        self.work_ = work_
        self._label: str | None = None
        self._stop: Callable[[], None] | None = None
        self._wall_clock_is_over = False

    def work(self, context: Context) -> None:
        from hpo_tasks.flow.tasks import train_task

        def remember(stop: Callable[[], None]) -> None:
            self._stop = stop

        ti = context["ti"]
        awaited = train_task(
            self.work_,
            on_start=remember,
            is_taken_away=lambda: is_taken_away(ti),
            clears=ti.max_tries,  # raised by a clear, not by a retry
            wall_clock_is_over=self._wall_clock_is_over,
        )
        if awaited is not None:
            from hpo_tasks.flow.triggers import JobTrigger

            self.defer(trigger=JobTrigger(**awaited), method_name="resume")

    def resume(self, context: Context, event: Any = None) -> None:
        """Go on after the trigger has fired. What has become of the job, the object store and the backend say."""
        from hpo_tasks.flow.triggers import WALL_CLOCK

        self._wall_clock_is_over = (event or {}).get("because") == WALL_CLOCK
        self._run(context)

    def on_kill(self) -> None:
        """The task process is told to stop. In a signal handler: it only makes a note, `work` does the rest."""
        if self._stop is not None:
            self._stop()

    def slot_label(self) -> str:
        """The slot's parameters in a few words, for the Airflow grid.

        Airflow asks before and after the work. The task does not fail for a label's sake.
        """
        if self._label is None:
            from hpo_tasks.flow.tasks import slot_label

            try:
                self._label = slot_label(self.work_)
            except HpoError:
                return f"slot {self.work_['slots'][0]}"
        return self._label


class TellOperator(StudyOperator):
    """Records the round's outcomes; returns a short summary, or skips what follows when the study is at its end.

    Args:
        ask_id: id of the round's ask task, which knows the round's number and where the study lies.
        skips: ids of the tasks that the study's end makes superfluous; none where a loop's gate ends it.
    """

    ui_color = "#e6f4ea"

    def __init__(self, *, ask_id: str, skips: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ask_id = ask_id
        self.skips = list(skips)

    def work(self, context: Context) -> dict[str, Any]:
        from hpo_tasks.flow.tasks import tell_task

        asked = context["ti"].xcom_pull(task_ids=self.ask_id)
        if not asked:
            raise InputError(f"`{self.ask_id}` handed out no round: clear it and everything after it")
        told = tell_task(asked[0])
        if told["end"] is not None and self.skips:
            _skip(self.skips)
        return told


class ConcludeOperator(StudyOperator):
    """Writes the summary and the best model, announces the best, and says whether the run is a success."""

    ui_color = "#e8f0fe"

    def work(self, context: Context) -> dict[str, Any]:
        from hpo_tasks.flow.tasks import conclude_task

        return conclude_task(context, handle(context))


class ReapOperator(StudyOperator):
    """Ends the jobs on clouds that are alive without reason; returns what it found."""

    ui_color = "#fce8e6"

    def work(self, context: Context) -> list[dict[str, Any]]:
        from hpo_tasks.flow.reaper_task import reap_task

        return reap_task(context)


def is_taken_away(ti: Any) -> bool:
    """Whether the task instance was cleared, marked or deleted, so that nobody waits for its job any more.

    False while Airflow has it running or is to run it again, because then a retry adopts the job; and False when Airflow
    does not answer: what is left then ends with `tell`, with `conclude`, or at its own time limit.
    """
    return is_over(states_of(ti, ti.get_task_states))


def is_over(states: Sequence[str | None] | None) -> bool:
    """Whether task instances with these states (see `states_of`) neither run nor will run again; False if nobody knows."""
    return states is not None and not any(state in _STILL_TO_RUN for state in states)


def states_of(ti: Any, get_task_states: Callable[..., Any]) -> list[str | None] | None:
    """State of the task instance, in a list; an empty one if it is deleted, None if Airflow does not answer."""
    try:
        states = get_task_states(
            dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index
        )
    except Exception as error:  # noqa: BLE001 - whatever it is, the task or its trigger is about to be killed
        log.warning("Airflow does not say why this task is to stop (%s): its job runs on", error)
        return None
    return [state for tasks in states.values() for state in tasks.values()]


def _skip(tasks: list[str]) -> NoReturn:
    """End the task as a success and skip these tasks, without a process for each."""
    from airflow.sdk.exceptions import DownstreamTasksSkipped

    raise DownstreamTasksSkipped(tasks=tasks)  # type: ignore[no-untyped-call]


def handle(context: Context) -> StudyHandle:
    """What `prepare` returned.

    Raises:
        InputError: prepare has not succeeded, so there is no study to work on.
    """
    found = context["ti"].xcom_pull(task_ids=PREPARE)
    if not found:
        raise InputError(f"`{PREPARE}` has not succeeded: its log says why; clear it to try again")
    return found  # type: ignore[no-any-return]
