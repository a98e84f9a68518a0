"""One Batch job: what was submitted, how far it is, and how DescribeJobs and ListJobs show it."""

import time
from dataclasses import dataclass, field
from typing import Any

from aws_double.calls import ACCOUNT
from aws_double.metadata import Host
from aws_double.processes import ContainerProcess

ENDED = {"SUCCEEDED", "FAILED"}
BEFORE_STARTING = {"SUBMITTED", "PENDING", "RUNNABLE"}
STATUSES = ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED"]


def now_ms() -> int:
    return int(time.time() * 1000)


@dataclass(frozen=True)
class Ending:
    """Why an attempt ends, when it is not the program's own doing.

    Attributes:
        status_reason, reason: the attempt's and its container's.
        exit_code: what is reported; None with `keeps_code` False: nothing is.
        keeps_code: the program's own exit code is reported.
        final: no further attempt.
    """

    status_reason: str
    reason: str = ""
    exit_code: int | None = None
    keeps_code: bool = False
    final: bool = False


@dataclass(eq=False)
class Attempt:
    """One attempt that is under way."""

    host: Host
    environment_arn: str
    task_id: str
    log_stream: str = ""
    started_ms: int | None = None
    process: ContainerProcess | None = None
    ending: Ending | None = None

    @property
    def instance_arn(self) -> str:
        return (
            f"arn:aws:ecs:{self.host.zone[:-1]}:{ACCOUNT}:container-instance/double/{self.host.instance_id}"
        )


@dataclass(eq=False)
class Job:
    """A job, an array's parent, or an array's child (`index`).

    Attributes:
        queue, definition: moto's own.
        container: properties of the definition with the overrides put in.
        retry: retryStrategy in force. timeout_s: attemptDurationSeconds in force.
        needs: jobs that must succeed first.
    """

    job_id: str
    name: str
    region: str
    queue: Any
    definition: Any
    container: dict[str, Any]
    parameters: dict[str, str]
    retry: dict[str, Any]
    timeout_s: float | None
    depends_on: list[dict[str, str]]
    share_identifier: str | None = None
    priority: int | None = None
    parent: "Job | None" = None
    index: int | None = None
    children: list["Job"] = field(default_factory=list)
    needs: list["Job"] = field(default_factory=list)
    status: str = "SUBMITTED"
    status_reason: str = ""
    since: float = field(default_factory=time.monotonic)
    created_ms: int = field(default_factory=now_ms)
    started_ms: int | None = None
    stopped_ms: int | None = None
    attempts: list[dict[str, Any]] = field(default_factory=list)
    attempt: Attempt | None = None
    cancelled: bool = False
    terminated: bool = False

    @property
    def arn(self) -> str:
        return f"arn:aws:batch:{self.region}:{ACCOUNT}:job/{self.job_id}"

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def vcpus(self) -> float:
        return float(self.resource("VCPU", "vcpus", 1))

    def resource(self, kind: str, old_name: str, default: float) -> float | str:
        """A resource requirement; definitions of old have it as a property of its own."""
        for requirement in self.container.get("resourceRequirements", []):
            if requirement["type"] == kind:
                return requirement["value"]
        return self.container.get(old_name, default)

    def move(self, status: str, reason: str | None = None) -> None:
        self.status = status
        self.since = time.monotonic()
        if reason is not None:
            self.status_reason = reason
        if status in ENDED:
            self.stopped_ms = now_ms()

    def command(self) -> list[str]:
        """With the job's parameters in the places that name them."""
        command = list(self.container.get("command", []))
        for name, value in self.parameters.items():
            command = [part.replace(f"Ref::{name}", value) for part in command]
        return command

    def environment(self) -> dict[str, str]:
        """What Batch sets beside what the submitter does."""
        variables = {entry["name"]: entry["value"] for entry in self.container.get("environment", [])}
        variables["AWS_BATCH_JOB_ID"] = self.job_id
        variables["AWS_BATCH_JOB_ATTEMPT"] = str(len(self.attempts) + 1)
        variables["AWS_BATCH_JQ_NAME"] = self.queue.name
        if self.index is not None:
            variables["AWS_BATCH_JOB_ARRAY_INDEX"] = str(self.index)
            variables["AWS_BATCH_JOB_ARRAY_SIZE"] = str(len(self.parent.children))
        if not any(r["type"] == "GPU" for r in self.container.get("resourceRequirements", [])):
            variables.setdefault("CUDA_VISIBLE_DEVICES", "")
        return variables

    def log_group(self) -> str:
        options = (self.container.get("logConfiguration") or {}).get("options") or {}
        return options.get("awslogs-group", "/aws/batch/job")

    def summary(self) -> dict[str, Any]:
        """As ListJobs shows it."""
        shown = {
            "jobId": self.job_id,
            "jobArn": self.arn,
            "jobName": self.name,
            "createdAt": self.created_ms,
            "status": self.status,
            "statusReason": self.status_reason or None,
            "startedAt": self.started_ms,
            "stoppedAt": self.stopped_ms,
            "jobDefinition": self.definition.arn,
            "shareIdentifier": self.share_identifier,
        }
        last = self.attempts[-1]["container"] if self.attempts else {}
        if self.ended and not self.children:
            shown["container"] = {key: last[key] for key in ("exitCode", "reason") if key in last}
        if self.index is not None:
            shown["arrayProperties"] = {"index": self.index}
        if self.children:
            shown["arrayProperties"] = {"size": len(self.children)}
        return {key: value for key, value in shown.items() if value is not None}

    def details(self, tags: dict[str, str]) -> dict[str, Any]:
        """As DescribeJobs shows it."""
        shown = {
            **self.summary(),
            "jobQueue": self.queue.arn,
            "dependsOn": self.depends_on,
            "parameters": self.parameters,
            "retryStrategy": self.retry,
            "attempts": self.attempts,
            "tags": tags,
            "isCancelled": self.cancelled,
            "isTerminated": self.terminated,
            "platformCapabilities": self.definition.platform_capabilities or ["EC2"],
        }
        if self.timeout_s is not None:
            shown["timeout"] = {"attemptDurationSeconds": int(self.timeout_s)}
        if self.priority is not None:
            shown["schedulingPriority"] = self.priority
        shown.setdefault("startedAt", 0)  # unverified: AWS's way to say "not yet" in details
        shown["container"] = self._container_details()
        if self.children:
            counts = dict.fromkeys(STATUSES, 0)
            for child in self.children:
                counts[child.status] += 1
            shown["arrayProperties"] = {"size": len(self.children), "statusSummary": counts}
        return shown

    def _container_details(self) -> dict[str, Any]:
        details = {**self.container, "command": self.command(), "networkInterfaces": []}
        details.setdefault("vcpus", int(self.vcpus) or 1)
        details.setdefault("memory", int(self.resource("MEMORY", "memory", 512)))
        if self.attempt is not None:
            details["containerInstanceArn"] = self.attempt.instance_arn
            details["taskArn"] = self.attempt.task_id
            details["logStreamName"] = self.attempt.log_stream
        elif self.attempts:
            details.update(self.attempts[-1]["container"])
        return details
