"""What the reaper ends, and what it leaves alone."""

from hpo_tasks.backends.reaper import UNKNOWN_STUDY_S, Known, LiveJob, superfluous
from hpo_tasks.trial.layout import SlotKey

NOW_S = 1_000_000.0
KNOWN = Known(
    deployment="prod",
    running=frozenset({"running"}),
    others=frozenset({"over"}),
    decided=frozenset({SlotKey("running", 0, 1)}),
)


def job(name, *, deployment="prod", age_s=60.0, ends_at_s=None):
    return LiveJob(name, f"id of {name}", deployment, NOW_S - age_s, ends_at_s)


def reaped(*jobs):
    return {
        job_id.removeprefix("id of "): why for job_id, why in superfluous(jobs, KNOWN, now_s=NOW_S).items()
    }


def test_a_job_that_somebody_waits_for_is_left_alone():
    assert reaped(job("hpo-running-0-0-1", ends_at_s=NOW_S + 1)) == {}


def test_the_job_of_a_decided_trial_is_ended():
    assert reaped(job("hpo-running-0-1-1")) == {"hpo-running-0-1-1": "its trial is decided"}


def test_the_jobs_of_a_study_that_is_over_are_ended():
    assert reaped(job("hpo-over-3-0-2")) == {"hpo-over-3-0-2": "its study has ended, or its run is gone"}


def test_of_two_attempts_the_older_one_is_ended():
    found = reaped(job("hpo-running-0-0-1"), job("hpo-running-0-0-2"))
    assert found == {"hpo-running-0-0-1": "attempt 2 runs"}


def test_a_job_past_its_end_of_life_is_ended():
    assert list(reaped(job("hpo-running-0-0-1", ends_at_s=NOW_S - 1))) == ["hpo-running-0-0-1"]


def test_a_study_that_the_ledger_does_not_know_yet_is_given_time():
    assert reaped(job("hpo-new-0-0-1")) == {}
    assert list(reaped(job("hpo-new-0-0-1", age_s=UNKNOWN_STUDY_S + 1))) == ["hpo-new-0-0-1"]


def test_jobs_of_others_are_none_of_ours():
    """Of another deployment, of nobody, or of another program that happens to begin its names alike."""
    others = [
        job("hpo-over-0-0-1", deployment="dev"),
        job("hpo-over-0-0-1", deployment=None),
        job("hpo-nightly-report"),
    ]
    assert reaped(*others) == {}
