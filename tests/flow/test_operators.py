"""What the operators do around the steps, without Airflow's servers."""

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, DownstreamTasksSkipped, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse

from hpo_tasks.errors import InputError, UnavailableError
from hpo_tasks.flow import tasks
from hpo_tasks.flow.operators import (
    AskOperator,
    StudyOperator,
    TaskFailedError,
    TellOperator,
    TrainOperator,
    is_taken_away,
)

WORK = [
    {"study": "s", "store": "/nowhere", "connection": None, "round": 4, "slots": [slot]} for slot in (3, 4)
]


class TaskInstance:
    """A task instance.

    `states`: what Airflow says of it, or what it raises; `asked`: what its `ask` has handed out.
    """

    dag_id, run_id, task_id, map_index = "hpo_dag", "run", "round_00.train", 3
    max_tries = 7

    def __init__(self, states=None, asked=None):
        self.states = states
        self.asked = asked

    def get_task_states(self, **asked):
        assert asked == {
            "dag_id": "hpo_dag", "run_ids": ["run"], "task_ids": ["round_00.train"], "map_index": 3
        }  # fmt: skip
        if isinstance(self.states, Exception):
            raise self.states
        return self.states

    def xcom_pull(self, task_ids):
        if task_ids.endswith("ask"):
            return self.asked
        return {"study": "study", "store": f"/{task_ids}", "connection": None}


@pytest.fixture
def train():
    return TrainOperator(task_id="train", work_=WORK[0])


def test_a_label_that_cannot_be_had_fails_no_task(train, monkeypatch):
    """Airflow renders it once more after the work: a store that is away then must not undo a finished trial."""

    def down(*_):
        raise UnavailableError("the store does not answer")

    monkeypatch.setattr(tasks, "slot_label", down)
    assert train.slot_label() == "slot 3"
    monkeypatch.setattr(tasks, "slot_label", lambda *_: "x=0.5")
    assert train.slot_label() == "x=0.5"


@pytest.mark.parametrize(
    "state", ["failed", "success", "skipped", "removed", "restarting", "upstream_failed", None]
)
def test_a_task_is_taken_away_when_nobody_will_run_it_as_it_is(state):
    """Marked, cleared, or its run marked or ended: its job ends with it."""
    assert is_taken_away(TaskInstance({"run": {"round_00.train_3": state}}))


def test_a_task_that_is_not_there_any_more_is_taken_away():
    """The run was deleted."""
    assert is_taken_away(TaskInstance({}))


@pytest.mark.parametrize("state", ["running", "queued", "scheduled", "up_for_retry", "deferred"])
def test_a_task_that_runs_on_or_again_is_not_taken_away(state):
    """The worker is stopped, or Airflow believes it lost: the next try adopts the job."""
    assert not is_taken_away(TaskInstance({"run": {"round_00.train_3": state}}))


def test_without_an_answer_the_job_runs_on():
    """No work is lost; tell, conclude or the trial's own time limit end what stays."""
    assert not is_taken_away(TaskInstance(RuntimeError("API_SERVER_ERROR")))


def test_an_api_server_that_is_away_is_one_message_and_worth_a_retry():
    """What `ti.xcom_pull` raises while it does not answer is no traceback to a user."""

    class Asking(StudyOperator):
        def work(self, context):
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status": 503}))

    with pytest.raises(TaskFailedError) as failed:
        Asking(task_id="asking").execute({})
    assert isinstance(failed.value.error, UnavailableError)
    assert failed.value.__context__ is None
    assert "API server does not answer" in str(failed.value.error)


def test_ask_hands_out_what_train_and_tell_work_on(monkeypatch):
    """The round's number is in it, because in a loop no operator knows it."""
    monkeypatch.setattr(tasks, "ask_task", lambda _, round_: WORK if round_ is None else None)
    handed_out = AskOperator(task_id="ask", round_=None, skips=[]).work({"ti": TaskInstance()})
    assert handed_out == WORK
    trained = []
    monkeypatch.setattr(tasks, "train_task", lambda work, **_: trained.append(work))
    for work in handed_out:
        TrainOperator(task_id="train", work_=work).work({"ti": TaskInstance()})
    assert trained == WORK


def test_ask_skips_what_follows_at_the_end(monkeypatch):
    monkeypatch.setattr(tasks, "ask_task", lambda *_: None)
    ask = AskOperator(task_id="ask", round_=None, skips=["round.train", "round.tell"])
    with pytest.raises(DownstreamTasksSkipped) as skipped:
        ask.work({"ti": TaskInstance()})
    assert skipped.value.tasks == ["round.train", "round.tell"]


@pytest.mark.parametrize(
    ("end", "skips", "skipped"),
    [(None, ["later"], False), ("complete", ["later"], True), ("complete", [], False)],
    ids=["goes on", "unrolled", "the loop's gate ends it"],
)
def test_tell_skips_what_follows_at_the_end(monkeypatch, end, skips, skipped):
    """The round is the one that ask handed out."""
    monkeypatch.setattr(tasks, "tell_task", lambda work: {"round": work["round"], "end": end})
    tell = TellOperator(task_id="tell", ask_id="round.ask", skips=skips)
    context = {"ti": TaskInstance(asked=WORK)}
    if skipped:
        with pytest.raises(DownstreamTasksSkipped) as raised:
            tell.work(context)
        assert raised.value.tasks == skips
    else:
        assert tell.work(context) == {"round": 4, "end": end}


def test_tell_without_a_round_says_what_to_clear():
    """Somebody marked ask as a success by hand."""
    tell = TellOperator(task_id="tell", ask_id="round.ask", skips=[])
    with pytest.raises(InputError, match=r"`round\.ask`.*clear it"):
        tell.work({"ti": TaskInstance()})
