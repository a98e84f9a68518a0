"""A trial whose tasks run on several hosts, with the store on S3: a job can be seen on its own host alone."""

import pytest

from hpo_tasks.backends.base import JobStatus
from hpo_tasks.errors import UnavailableError
from hpo_tasks.flow.steps.staging import Staging
from hpo_tasks.store import open_store
from hpo_tasks.trial.layout import SlotKey
from tests.flow.steps.conftest import ScriptedBackend
from tests.flow.steps.test_train import completes, trial_of


def runs(_):
    return JobStatus("running")


@pytest.fixture
def on(study, store, tmp_path):
    """`on("one", deed…)`: a task of the trial on that host, whose jobs do these deeds."""

    def task(host, *deeds):
        (tmp_path / host).mkdir(exist_ok=True)
        staging = Staging(store, open_store(str(tmp_path / host)), host)
        return trial_of(study, ScriptedBackend(*deeds), staging=staging)

    return task


def submitted(task):
    return [request.attempt for request in task.backend.submitted]


def test_a_task_that_goes_on_elsewhere_launches_another_attempt(on, store):
    """The job of the first may live: two that wrote into the same attempt would mix their models."""
    killed = on("one", runs)
    killed.advance()
    retry = on("two", completes(store))
    assert (retry.until_decided().attempt, submitted(retry)) == (2, [2])
    assert killed.until_decided().attempt == 2


def test_a_retry_on_the_same_host_adopts_the_job(on, store):
    """Nothing is launched again."""
    killed = on("one", runs)
    killed.advance()
    retry = on("one")
    retry.backend.states = killed.backend.states
    assert retry.advance() is None
    completes(store)(killed.backend.submitted[0])
    assert (retry.until_decided().attempt, submitted(retry)) == (1, [])


def test_a_task_that_was_killed_before_its_job_began_launches_it_when_it_comes_back(on, store):
    """The attempt is noted as its host's, and was never run."""
    killed = on("one")
    with pytest.raises(IndexError):  # its backend has no deed to do
        killed.advance()
    retry = on("one", completes(store))
    assert (retry.until_decided().attempt, submitted(retry)) == (1, [1])


def test_of_two_tasks_the_one_that_was_overtaken_ends_its_job(on, store):
    """A worker that was taken for dead goes on: it neither launches more attempts nor keeps its host busy."""
    zombie = on("one", runs)
    zombie.advance()
    other = on("two", runs)
    while not submitted(other):
        other.advance()
    with pytest.raises(UnavailableError, match="attempt 2 was launched on host two"):
        zombie.until_decided()
    assert zombie.backend.stopped == [zombie.backend.submitted[0].job]
    assert other.advance() is None
    assert (submitted(zombie), submitted(other), other.backend.stopped) == ([1], [2], [])
    key = SlotKey("study", 0, 0).attempt(2)
    assert store.read(key.report) is None


def test_what_a_job_left_is_brought_to_the_store_as_soon_as_it_has_ended(on, store):
    """Looks at the store are paid for, looks at a job of this host are not; and until then its work may be lost."""
    task = on("one", runs)
    task.advance()
    job = task.backend.submitted[0]
    pauses = []

    def ends_after_a_while(pause_s):
        pauses.append(pause_s)
        if sum(pauses) > 0.5:
            completes(task.staging.local)(job)
            task.backend.states[job.job] = JobStatus("ended")

    task.sleep = ends_after_a_while
    assert task.until_decided().cls == "complete"
    assert sum(pauses) < 0.75
    assert store.read(SlotKey("study", 0, 0).outcome) is not None
