"""Which attempt of a trial comes next: a pure decision over what the object store and the backend say."""

from dataclasses import dataclass
from typing import Literal

from hpo_tasks.trial.contract import NEW_ATTEMPT, Outcome, OutcomeClass


@dataclass(frozen=True, slots=True)
class AttemptView:
    """What is known of the newest attempt of a trial.

    Attributes:
        number: 0 if none was requested yet.
        report: how it ended, if its job or the control plane wrote that down.
        job: what the backend says of its job.
        ended_as, ended_because: class and reason when the backend knows why the job ended, else None and "".
    """

    number: int
    report: Outcome | None = None
    job: Literal["unknown", "pending", "running", "ended"] = "unknown"
    ended_as: OutcomeClass | None = None
    ended_because: str = ""


@dataclass(frozen=True, slots=True)
class Launch:
    """Write the request of attempt `number` (unless it is there) and submit its job."""

    number: int


@dataclass(frozen=True, slots=True)
class Wait:
    """The job of attempt `number` is alive: look again later."""

    number: int


@dataclass(frozen=True, slots=True)
class Report:
    """The job of attempt `number` is dead and left no report: write one with this class and reason."""

    number: int
    cls: OutcomeClass
    reason: str


@dataclass(frozen=True, slots=True)
class Decide:
    """Commit the trial with this report's verdict (create `outcome.json`)."""

    report: Outcome
    attempts: int


@dataclass(frozen=True, slots=True)
class Forgo:
    """Commit the trial without ever starting it."""

    cls: OutcomeClass
    reason: str


Step = Launch | Wait | Report | Decide | Forgo


def next_step(  # noqa: PLR0911 - one return for each case
    newest: AttemptView, *, max_attempts: int, past_deadline: bool
) -> Step:
    """Decide what to do for a trial that has no outcome yet.

    Args:
        newest: the newest attempt; its job's state is read after its report, so `ended` without a report means that
            there will be none.
        max_attempts: attempts that `interrupted` and `infra` may use together.
        past_deadline: the study's wall clock is used up: nothing new is started.
    """
    if newest.number == 0:
        if past_deadline:
            return Forgo("stopped", "the study's wall clock was used up before the trial started")
        return Launch(1)
    if newest.report is None:
        if newest.job in ("pending", "running"):
            return Wait(newest.number)
        if newest.job == "unknown":
            if past_deadline:
                return Report(
                    newest.number, "stopped", "the study's wall clock was used up before the job started"
                )
            return Launch(newest.number)
        return Report(
            newest.number, newest.ended_as or "infra", newest.ended_because or "the job left no report"
        )
    earns_another = newest.report.cls in NEW_ATTEMPT and newest.number < max_attempts
    if earns_another and not past_deadline:
        return Launch(newest.number + 1)
    return Decide(newest.report, newest.number)
