"""Which attempt comes next: every state of a trial without an outcome, and what must follow."""

import pytest

from hpo_tasks.study.attempts import AttemptView, Decide, Forgo, Launch, Report, Wait, next_step
from hpo_tasks.trial.contract import NEW_ATTEMPT, OUTCOME_CLASSES, Outcome


def report(cls: str) -> Outcome:
    return Outcome("s", 0, 0, 1, cls, "digest", "params", reason="why")


@pytest.mark.parametrize(
    ("newest", "expected"),
    [
        (AttemptView(0), Launch(1)),
        (AttemptView(1, job="unknown"), Launch(1)),
        (AttemptView(1, job="pending"), Wait(1)),
        (AttemptView(2, job="running"), Wait(2)),
        (AttemptView(1, job="ended"), Report(1, "infra", "the job left no report")),
        (AttemptView(1, job="ended", ended_as="oom", ended_because="killed"), Report(1, "oom", "killed")),
        (AttemptView(1, report=report("infra")), Launch(2)),
        (AttemptView(2, report=report("interrupted")), Launch(3)),
        (AttemptView(3, report=report("infra")), Decide(report("infra"), 3)),
        (AttemptView(1, report=report("user_error")), Decide(report("user_error"), 1)),
    ],
)
def test_before_the_deadline(newest, expected):
    """The next step follows from the newest attempt alone."""
    assert next_step(newest, max_attempts=3, past_deadline=False) == expected


@pytest.mark.parametrize("cls", OUTCOME_CLASSES)
def test_only_interrupted_and_infra_earn_an_attempt(cls):
    """A failure of the user's program is never paid for twice; one of the infrastructure is, up to the limit."""
    step = next_step(AttemptView(1, report=report(cls)), max_attempts=2, past_deadline=False)
    assert isinstance(step, Launch if cls in NEW_ATTEMPT else Decide)


def test_past_the_deadline_nothing_starts():
    """Whatever the state, nothing is launched once the wall clock is used up, and every trial still gets its end."""
    views = [AttemptView(0), AttemptView(1, job="unknown"), AttemptView(1, report=report("infra"))]
    steps = [next_step(view, max_attempts=3, past_deadline=True) for view in views]
    assert [type(step) for step in steps] == [Forgo, Report, Decide]
    assert steps[0].cls == steps[1].cls == "stopped"


def test_a_running_job_is_waited_for_past_the_deadline():
    """It is asked to stop elsewhere; its own report says how it ended."""
    assert next_step(AttemptView(1, job="running"), max_attempts=3, past_deadline=True) == Wait(1)
