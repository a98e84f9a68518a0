"""What a job description of AWS Batch means. Pure."""

from collections.abc import Mapping
from typing import Any

from hpo_tasks.backends.base import JobStatus
from hpo_tasks.trial.contract import OutcomeClass
from hpo_tasks.trial.printable import one_line

STOPPED_BY_US = "hpo: "
"""Begins the reason of every TerminateJob of ours."""
_MAX_REASON = 300
_PENDING = ("SUBMITTED", "PENDING", "RUNNABLE")
_RUNNING = ("STARTING", "RUNNING")
LIVE = (*_PENDING, *_RUNNING)

# (part of a reason in lower case, class, what to call it). The first that fits decides: what went wrong with the container
# comes first, because "timeout" is part of many such reasons.
_REASONS: tuple[tuple[str, OutcomeClass, str], ...] = (
    ("cannotpull", "infra", "the image cannot be pulled"),
    ("cannotstartcontainer", "infra", "the container cannot be started"),
    ("cannotcreatecontainer", "infra", "the container cannot be made"),
    ("dockertimeout", "infra", "the container cannot be started"),
    ("containerruntimetimeout", "infra", "the container cannot be started"),
    ("resourceinitialization", "infra", "the host could not be prepared"),
    ("misconfiguration", "infra", "the compute environment cannot run it"),
    ("host ec2", "interrupted", "its host went away (spot loss or failure)"),
    ("spot interruption", "interrupted", "spot loss"),
    ("outofmemory", "oom", "out of memory"),
    ("attempt duration exceeded", "timeout", "the job's time limit"),
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


def missing(ends_at_s: float, now_s: float) -> JobStatus:
    """Status of a job of ours that Batch does not know at `now_s`.

    It may not know it yet; or somebody has changed the connection's account or region, and the job trains on elsewhere. So
    it counts as alive as long as it can be: another attempt would train beside it.

    Args:
        ends_at_s: when the job is over in any case, by its own limits.
        now_s: seconds since the epoch, as `ends_at_s`.
    """
    if now_s < ends_at_s:
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
    why = str(job.get("statusReason") or "")
    if why.startswith(STOPPED_BY_US):
        return "interrupted", one_line(why.removeprefix(STOPPED_BY_US), _MAX_REASON)
    text = " ".join(part for part in (str(container.get("reason") or ""), why) if part)
    for part, cls, name in _REASONS:
        if part in text.lower():
            return cls, one_line(f"{name}: {text}", _MAX_REASON)
    code = container.get("exitCode")
    if code is not None:
        return "infra", one_line(f"the job ended with exit code {code}: {text}", _MAX_REASON)
    return "infra", one_line(text or "the job failed, and Batch does not say why", _MAX_REASON)
