"""From attempts to one outcome: what the train task does with every way in which a job can end."""

import pytest

from hpo_tasks.backends.base import JobStatus
from hpo_tasks.errors import UnavailableError
from hpo_tasks.flow.steps import attempts
from hpo_tasks.flow.steps.batch import Configuration, RoundBatch
from hpo_tasks.flow.steps.clock import Moment
from hpo_tasks.flow.steps.train import TrialRun
from hpo_tasks.trial.contract import Outcome, encode_outcome, params_sha256
from hpo_tasks.trial.layout import SlotKey
from tests.flow.steps.conftest import ScriptedBackend

BATCH = RoundBatch(0, (Configuration(0, 0, {"x": 0.5}, 1), Configuration(1, 1, {"x": 0.6}, 2)))


def outcome_of(request, cls="complete", **changes):
    values = {"loss": 0.25} if cls == "complete" else {}
    fields = {
        "study": request.study, "round": request.round, "slot": request.slot, "attempt": request.attempt, "cls": cls,
        "spec_digest": request.spec_digest, "params_sha256": params_sha256(request.params), "values": values,
    }  # fmt: skip
    return Outcome(**{**fields, **changes})


def trial_of(study, backend, batch=BATCH, **changes):
    return TrialRun(study, batch, 0, backend, {}, 1, sleep=lambda _: None, **changes)


def completes(store):
    def deed(request):
        store.create(SlotKey(request.study, 0, 0).outcome, encode_outcome(outcome_of(request)))
        return JobStatus("ended")

    return deed


def reports(store, cls):
    def deed(request):
        store.create(
            attempts.request_key(request).report, encode_outcome(outcome_of(request, cls, reason="why"))
        )
        return JobStatus("ended")

    return deed


def vanishes(request):
    del request
    return JobStatus("ended")


def test_a_complete_job_decides_the_trial(study, store):
    """The job's own outcome is the trial's."""
    backend = ScriptedBackend(completes(store))
    assert trial_of(study, backend).until_decided().values == {"loss": 0.25}
    assert len(backend.submitted) == 1


def test_a_second_task_trains_nothing_again(study, store):
    """Cleared after the end: the outcome is read, no job is submitted."""
    trial_of(study, ScriptedBackend(completes(store))).until_decided()
    again = ScriptedBackend()
    assert trial_of(study, again).until_decided().cls == "complete"
    assert again.submitted == []


def test_a_retry_adopts_the_running_job(study, store):
    """The first task died after submitting: the second waits for the same job."""
    backend = ScriptedBackend(lambda _: JobStatus("running"))
    first = trial_of(study, backend)
    first.advance()
    second = trial_of(study, backend)
    assert second.advance() is None
    completes(store)(backend.submitted[0])
    assert second.until_decided().cls == "complete"
    assert len(backend.submitted) == 1


def test_a_late_look_declares_no_newer_attempt_dead(study, store):
    """A process was stopped (SIGSTOP) while it polled attempt 1; another has launched attempt 2 meanwhile."""
    backend = ScriptedBackend(vanishes, lambda _: JobStatus("running"))
    zombie, other = trial_of(study, backend), trial_of(study, backend)
    zombie.advance()

    def stopped_while_it_polls(jobs):
        zombie.backend.poll = poll
        found = poll(jobs)
        while len(backend.submitted) < 2:
            other.advance()
        return found

    poll = backend.poll
    backend.poll = stopped_while_it_polls
    zombie.advance()
    assert [request.attempt for request in backend.submitted] == [1, 2]
    assert attempts.newest_attempt(store, other.request(1)).report is None


def test_an_attempt_that_is_launched_while_the_trial_is_given_up_is_stopped_too(study, store):
    """Its train task was believed to be dead, and was not."""
    backend = ScriptedBackend(reports(store, "interrupted"), lambda _: JobStatus("running"))
    zombie, tell = trial_of(study, backend), trial_of(study, backend)
    zombie.advance()
    stop = backend.stop

    def meanwhile(job, *, grace_s):
        stop(job, grace_s=grace_s)
        if len(backend.submitted) < 2:
            zombie.advance()

    backend.stop = meanwhile
    outcome = tell.give_up("its train task is gone")
    assert backend.stopped == [request.job for request in backend.submitted]
    assert (len(backend.submitted), outcome.attempts) == (2, 2)


def test_infra_earns_new_attempts_up_to_the_limit(study, store):
    """Three attempts, then the trial is decided as infra with what the last one said."""
    backend = ScriptedBackend(vanishes, reports(store, "interrupted"), vanishes)
    outcome = trial_of(study, backend).until_decided()
    assert [request.attempt for request in backend.submitted] == [1, 2, 3]
    assert (outcome.cls, outcome.reason, outcome.attempts) == ("infra", "the job left no report", 3)
    assert len({request.job for request in backend.submitted}) == 3
    assert {tuple(request.params.items()) for request in backend.submitted} == {(("x", 0.5),)}


def test_a_user_error_is_not_paid_for_twice(study, store):
    """One attempt decides."""
    backend = ScriptedBackend(reports(store, "user_error"))
    outcome = trial_of(study, backend).until_decided()
    assert (outcome.cls, outcome.reason, outcome.attempts) == ("user_error", "why", 1)


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'{"schema":1}',
        b'{"values":{"loss":NaN}}',
        b"[" * 100_000,
        b"x" * (2 << 20),
    ],
)
def test_a_torn_or_foreign_outcome_fails_the_trial_alone(study, store, bad):
    """What a hostile job leaves as its outcome is a user error, never a traceback."""

    def deed(request):
        store.create(SlotKey(request.study, 0, 0).outcome, bad)
        return JobStatus("ended")

    outcome = trial_of(study, ScriptedBackend(deed)).until_decided()
    assert outcome.cls == "user_error"
    assert outcome.reason.startswith("bad result")


@pytest.mark.parametrize(
    "changes", [{"slot": 1}, {"study": "other"}, {"params_sha256": "0"}, {"values": {"other": 1.0}}]
)
def test_another_trials_outcome_is_not_taken(study, store, changes):
    """Key, parameters and objectives have to match."""

    def deed(request):
        store.create(SlotKey("study", 0, 0).outcome, encode_outcome(outcome_of(request, **changes)))
        return JobStatus("ended")

    assert trial_of(study, ScriptedBackend(deed)).until_decided().cls == "user_error"


def test_at_the_deadline_running_trials_are_asked_to_stop(study, store):
    """The stop object appears; nothing new starts."""
    now = [100.0]
    batch = RoundBatch(0, BATCH.configurations, deadline=Moment(150.0))
    backend = ScriptedBackend(lambda _: JobStatus("running"))
    trial = trial_of(study, backend, batch, clock=lambda: Moment(now[0]))
    assert trial.advance() is None
    assert trial.advance() is None
    assert store.read(SlotKey("study", 0, 0).stop) is None
    now[0] = 151.0
    assert trial.advance() is None
    assert store.read(SlotKey("study", 0, 0).stop) is not None
    reports(store, "stopped")(backend.submitted[0])
    assert trial.until_decided().cls == "stopped"


@pytest.mark.parametrize("jump_s", [-3600.0, 3600.0])
def test_a_clock_that_is_set_moves_no_deadline(study, jump_s):
    """Ask and train on one host, whose clock somebody sets by an hour meanwhile."""
    at_ask = Moment(1_000_000.0, "boot", 500.0)
    batch = RoundBatch(0, BATCH.configurations, deadline=at_ask.after(60.0))
    before, after = (Moment(1_000_000.0 + jump_s, "boot", 500.0 + up_s) for up_s in (59.0, 61.0))
    trials = [trial_of(study, ScriptedBackend(), batch, clock=lambda now=now: now) for now in (before, after)]
    assert [trial.past_deadline() for trial in trials] == [False, True]


def test_on_another_host_the_deadline_is_a_time_of_day(study):
    """There is nothing else that two hosts have in common."""
    batch = RoundBatch(0, BATCH.configurations, deadline=Moment(1000.0, "one", 50.0))
    trials = [
        trial_of(study, ScriptedBackend(), batch, clock=lambda now=now: now)
        for now in (Moment(999.0, "two", 90.0), Moment(1001.0, "two", 10.0))
    ]
    assert [trial.past_deadline() for trial in trials] == [False, True]


def test_past_the_deadline_a_trial_is_recorded_without_being_started(study):
    """It counts, as stopped, with no attempt."""
    batch = RoundBatch(0, BATCH.configurations, deadline=Moment(150.0))
    backend = ScriptedBackend()
    outcome = trial_of(study, backend, batch, clock=lambda: Moment(200.0)).until_decided()
    assert (outcome.cls, outcome.attempts, backend.submitted) == ("stopped", 0, [])


def test_a_task_that_was_taken_away_ends_its_job(study):
    """Cleared or marked: the loop ends instead of launching another attempt, and the job with it."""
    backend = ScriptedBackend(lambda _: JobStatus("running"))
    trial = trial_of(study, backend)
    trial.advance()
    trial.request_stop()
    with pytest.raises(UnavailableError, match="taken away"):
        trial.until_decided(lambda: True)
    assert backend.stopped == [backend.submitted[0].job]


def test_a_worker_that_goes_away_leaves_the_job_to_the_retry(study, store):
    """The worker is stopped, the task is still Airflow's: the job is not touched and the next try waits for it."""
    backend = ScriptedBackend(lambda _: JobStatus("running"))
    trial = trial_of(study, backend)
    trial.advance()
    trial.request_stop()
    with pytest.raises(UnavailableError, match="its job runs on"):
        trial.until_decided(lambda: False)
    assert backend.stopped == []
    completes(store)(backend.submitted[0])
    assert trial_of(study, backend).until_decided().cls == "complete"
    assert len(backend.submitted) == 1


def test_a_task_taken_away_while_it_submits_leaves_no_job(study):
    """The signal comes when the job is not running yet."""

    def deed(_):
        trial.request_stop()
        return JobStatus("running")

    backend = ScriptedBackend(deed)
    trial = trial_of(study, backend)
    with pytest.raises(UnavailableError):
        trial.until_decided(lambda: True)
    assert backend.states == {backend.submitted[0].job: JobStatus("ended")}


def test_a_task_taken_away_before_it_looked_ends_the_job_of_the_try_before(study):
    """It was still waiting for one of the study's slots."""
    backend = ScriptedBackend(lambda _: JobStatus("running"))
    trial_of(study, backend).advance()
    second = trial_of(study, backend)
    second.request_stop()
    with pytest.raises(UnavailableError, match="taken away"):
        second.until_decided(lambda: True)
    assert backend.stopped == [backend.submitted[0].job]


def test_tell_gives_up_on_what_no_task_decides(study):
    """The job is stopped first, then the trial is decided as infra."""
    backend = ScriptedBackend(lambda _: JobStatus("running"))
    trial = trial_of(study, backend)
    trial.advance()
    outcome = trial.give_up("its train task ended without an outcome")
    assert backend.stopped == [backend.submitted[0].job]
    assert (outcome.cls, outcome.reason) == ("infra", "its train task ended without an outcome")


@pytest.mark.parametrize(("cls", "decided"), [("user_error", "user_error"), ("interrupted", "infra")])
def test_tell_hears_what_the_job_said_as_it_was_stopped(study, store, cls, decided):
    """A failure of the user's program is recorded as one; that we stopped it is not the reason."""

    class Reporting(ScriptedBackend):
        def stop(self, job, *, grace_s):
            super().stop(job, grace_s=grace_s)
            reports(store, cls)(self.submitted[0])

    trial = trial_of(study, Reporting(lambda _: JobStatus("running")))
    trial.advance()
    assert trial.give_up("given up").cls == decided


def test_a_job_that_nobody_waits_for_is_ended(study, store):
    """Another process decided the trial with attempt 1 while this one, given up by Airflow, ran attempt 2."""
    backend = ScriptedBackend(vanishes, lambda _: JobStatus("running"))
    trial = trial_of(study, backend)
    while len(backend.submitted) < 2:
        trial.advance()
    attempts.commit(store, outcome_of(backend.submitted[0], "infra"))
    assert trial.until_decided().cls == "infra"
    assert backend.stopped == [backend.submitted[1].job]


def test_what_is_recorded_is_read_without_the_inputs(study, store):
    """They may be gone when tell is cleared next week; only a launch brings them to the host."""

    def gone(_):
        raise UnavailableError("the bucket does not answer")

    completes(store)(trial_of(study, ScriptedBackend()).request(1))
    assert trial_of(study, ScriptedBackend(), bring=gone).until_decided().cls == "complete"
    backend = ScriptedBackend(vanishes)
    trial = TrialRun(
        study, BATCH, 1, backend, {"train": "s3://b/k"}, 1, bring=lambda _: {"train": "/cache/k"}
    )
    trial.advance()
    assert backend.submitted[0].inputs == {"train": "/cache/k"}


def test_a_deadline_that_has_moved_stops_no_new_attempt(study, store):
    """The budget's wall clock was raised and the task cleared: the old request to stop does not count any more."""
    store.create(SlotKey("study", 0, 0).stop, b"{}")
    trial_of(study, ScriptedBackend(vanishes)).advance()
    assert store.read(SlotKey("study", 0, 0).stop) is None


def test_a_late_success_loses_against_the_decision(study, store):
    """Whoever creates the outcome first wins; the job that comes later changes nothing."""
    backend = ScriptedBackend(lambda _: JobStatus("running"))
    trial = trial_of(study, backend)
    trial.advance()
    decided = trial.give_up("given up")
    assert not store.create(SlotKey("study", 0, 0).outcome, encode_outcome(outcome_of(backend.submitted[0])))
    assert trial_of(study, backend).until_decided() == decided


def test_a_store_that_is_down_is_worth_a_retry(study, monkeypatch):
    """The error reaches the task as it is; the next call goes on."""

    def down(*_args, **_keywords):
        raise UnavailableError("the store does not answer")

    trial = trial_of(study, ScriptedBackend())
    with monkeypatch.context() as patch:
        patch.setattr(type(study.store), "read", down)
        with pytest.raises(UnavailableError):
            trial.until_decided()
    assert trial.request(1).params == {"x": 0.5}
