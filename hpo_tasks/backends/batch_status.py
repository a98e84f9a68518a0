"""What a job description of AWS Batch means. Pure."""

from collections.abc import Mapping
from typing import Any

from hpo_tasks.backends.base import JobStatus
from hpo_tasks.trial.contract import OutcomeClass
from hpo_tasks.trial.printable import one_line

STOPPED_BY_US = "hpo:"
"""Begins the reason of every TerminateJob of ours."""
_MAX_REASON = 300
APPEARS_WITHIN_S = 300.0
"""DescribeJobs may not know a job yet that SubmitJob has just accepted; and not any more after a week."""
_PENDING = ("SUBMITTED", "PENDING", "RUNNABLE")
_RUNNING = ("STARTING", "RUNNING")
LIVE = (*_PENDING, *_RUNNING)

# (part of a reason in lower case, class, what to call it). The first that fits decides.
_REASONS: tuple[tuple[str, OutcomeClass, str], ...] = (
    ("host ec2", "interrupted", "its host went away (spot loss or failure)"),
    ("spot interruption", "interrupted", "spot loss"),
    ("outofmemory", "oom", "out of memory"),
    ("timeout", "timeout", "the job's time limit"),
    ("attempt duration exceeded", "timeout", "the job's time limit"),
    ("cannotpull", "infra", "the image cannot be pulled"),
    ("cannotstartcontainer", "infra", "the container cannot be started"),
    ("resourceinitialization", "infra", "the host could not be prepared"),
    ("misconfiguration", "infra", "the compute environment cannot run it"),
)


def status_of(job: Mapping[str, Any]) -> JobStatus:
    """Status of a job from its entry in DescribeJobs."""
    state = job.get("status")
    if state in _PENDING:
        return JobStatus("pending")
    if state in _RUNNING:
        return JobStatus("running")
    if state == "SUCCEEDED":
        return JobStatus("ended")
    cls, reason = failure(job)
    return JobStatus("ended", cls, reason)


def missing(kept_at_s: float, now_s: float) -> JobStatus:
    """Status of a job that was submitted at `kept_at_s`, and that Batch does not know at `now_s`."""
    if now_s - kept_at_s < APPEARS_WITHIN_S:
        return JobStatus("pending")
    return JobStatus("ended", "infra", "Batch does not know the job any more")


def waited_s(job: Mapping[str, Any], now_s: float) -> float:
    """For how long a job has been waiting for capacity; 0 when it is not."""
    if job.get("status") not in _PENDING:
        return 0.0
    return max(0.0, now_s - float(job.get("createdAt", now_s * 1000)) / 1000)


def failure(job: Mapping[str, Any]) -> tuple[OutcomeClass, str]:
    """Class and reason of a job that has failed.

    A bare exit code is `infra`: the runner exits with 0 whatever the program does, once it has written how it ended.
    """
    container = job.get("container") or {}
    said = [str(text) for text in (container.get("reason"), job.get("statusReason")) if text]
    text = " ".join(said)
    if STOPPED_BY_US in text:
        return "interrupted", one_line(text.partition(STOPPED_BY_US)[2].strip(), _MAX_REASON)
    lowered = text.lower().replace(" ", "") + "\n" + text.lower()
    for part, cls, name in _REASONS:
        if part in lowered:
            return cls, one_line(f"{name}: {text}", _MAX_REASON)
    code = container.get("exitCode")
    if code is not None:
        return "infra", one_line(f"the job ended with exit code {code}: {text}", _MAX_REASON)
    return "infra", one_line(text or "the job failed, and Batch does not say why", _MAX_REASON)
