"""The port between the train task and the place where a job runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from hpo_tasks.trial.contract import OutcomeClass, Request


@dataclass(frozen=True, slots=True)
class JobStatus:
    """What the backend knows of one job.

    Attributes:
        state: `unknown`: never submitted here, or forgotten; `pending`; `running`; `ended`.
        cls, reason: when ended and the backend itself knows why (host lost, out of memory, timeout); else None, "".
    """

    state: Literal["unknown", "pending", "running", "ended"]
    cls: OutcomeClass | None = None
    reason: str = ""


class Backend(Protocol):
    """Runs one job per attempt. The job's name (`request.job`) is its identity.

    Raises (all methods):
        UnavailableError: the backend does not answer; try again later.
        RefusedError: it says no (permission, unknown queue, quota that will not grow by waiting).
    """

    def submit(self, request: Request) -> None:
        """Start the job, unless one of this name is pending, running or ended: then do nothing (adopt it).

        Safe to repeat after a crash at any point, and to call from two processes at once: one job runs.
        The job finds its request at `AttemptKey.request` in the object store; the caller has written it. Values of
        its secrets are the backend's to get, and to hand over on another way.

        Raises:
            InputError: a secret has no value that a job could get; names the field.
        """

    def poll(self, jobs: Sequence[str]) -> Mapping[str, JobStatus]:
        """Status of each named job, in as few calls as the backend allows."""

    def stop(self, job: str, *, grace_s: float) -> None:
        """End the job and everything it started: TERM, `grace_s`, KILL. Returns when it is dead. No error if it is."""

    def log_tail(self, job: str) -> str:
        """Last lines of the job's output as far as the backend has them, at most 4 KiB; "" if none."""
