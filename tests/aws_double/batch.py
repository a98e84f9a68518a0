"""AWS Batch's calls: submit, describe, list, terminate, cancel; everything else of Batch is moto's."""

import copy
import re
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from aws_double.batch_jobs import STATUSES, Ending, Job
from aws_double.batch_scheduler import OUT_OF_MEMORY, OWN_END, Scheduler, host_gone
from aws_double.calls import ACCOUNT, AwsError, Call
from aws_double.settings import Platform

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
MOST_IDS = 100
MOST_LISTED = 100
LEAST_TIMEOUT_S = 60


class Batch:
    """All jobs of all regions."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._scheduler = Scheduler(platform)
        self._jobs: dict[str, Job] = {}
        _keep_timeouts_of_stacks()

    def operations(self) -> dict[str, Callable[[Call], Any]]:
        return {
            "SubmitJob": self.submit_job,
            "DescribeJobs": self.describe_jobs,
            "ListJobs": self.list_jobs,
            "TerminateJob": self.terminate_job,
            "CancelJob": self.cancel_job,
        }

    def injections(self) -> dict[str, Callable[[Mapping[str, Any]], Any]]:
        return {
            "batch/interrupt": self._interrupt,
            "batch/oom": self._run_out_of_memory,
            "batch/capacity": self._set_capacity,
            "batch/stuck": self._set_stuck,
        }

    def alive(self) -> list[str]:
        """Ids of jobs that are not over; an array's parent does not count beside its children."""
        with self._scheduler.changed:
            return [job.job_id for job in self._jobs.values() if not job.ended and not job.children]

    def clear(self) -> None:
        self._scheduler.clear()
        self._jobs.clear()

    def submit_job(self, call: Call) -> dict[str, str]:
        name = call.get("jobName", "")
        if not NAME.fullmatch(name):
            raise _refusal(f"Job name should match valid pattern {NAME.pattern}, got {name!r}")
        job = self._new_job(call, str(uuid.uuid4()))
        size = call.get("arrayProperties", {}).get("size")
        if size is not None:
            self._make_array(job, call, size)
        self._link(job, call.get("dependsOn", []))
        _backend(call).tag_resource(job.arn, call.get("tags", {}))
        with self._scheduler.changed:
            for each in [job, *job.children]:
                self._jobs[each.job_id] = each
                self._scheduler.add(each)
        return {"jobId": job.job_id, "jobName": name, "jobArn": job.arn}

    def describe_jobs(self, call: Call) -> dict[str, Any]:
        ids = call.get("jobs", [])
        if len(ids) > MOST_IDS:
            raise _refusal(f"At most {MOST_IDS} jobs can be described at a time, got {len(ids)}")
        backend = _backend(call)
        with self._scheduler.changed:
            jobs = [self._jobs[i] for i in dict.fromkeys(ids) if i in self._jobs]
            shown = [
                job.details(backend.list_tags_for_resource(job.arn))
                for job in jobs
                if job.region == call.region
            ]
            return {"jobs": copy.deepcopy(shown)}

    def list_jobs(self, call: Call) -> dict[str, Any]:
        most = call.get("maxResults", MOST_LISTED)
        if not 1 <= most <= MOST_LISTED:
            raise _refusal(f"maxResults must be between 1 and {MOST_LISTED}, got {most}")
        with self._scheduler.changed:
            found = [job.summary() for job in self._listed(call)]
        start = _read_token(call.get("nextToken"))
        page = {"jobSummaryList": found[start : start + most]}
        if start + most < len(found):
            page["nextToken"] = f"from-{start + most}"
        return page

    def terminate_job(self, call: Call) -> dict[str, Any]:
        with self._scheduler.changed:
            for job in self._named(call):
                job.terminated |= not job.ended
                if not self._scheduler.refuse(job, call.get("reason")) and job.attempt is not None:
                    self._scheduler.stop(job.attempt, Ending(call.get("reason"), keeps_code=True, final=True))
        return {}

    def cancel_job(self, call: Call) -> dict[str, Any]:
        with self._scheduler.changed:
            for job in self._named(call):
                job.cancelled = self._scheduler.refuse(job, call.get("reason"))
        return {}

    def _named(self, call: Call) -> list[Job]:
        """The job of a call, or its children. None for an id that nobody knows: AWS says nothing then."""
        if not call.get("jobId") or not call.get("reason"):
            raise _refusal("jobId and reason are required")
        job = self._jobs.get(call.get("jobId"))
        if job is None or job.region != call.region:
            return []
        return job.children or [job]

    def _new_job(self, call: Call, job_id: str) -> Job:
        backend = _backend(call)
        queue = backend.get_job_queue(call.get("jobQueue", ""))
        if queue is None:
            raise _refusal(f"JobQueue {call.get('jobQueue')} not found.")
        if queue.state != "ENABLED":
            raise _refusal(f"JobQueue {queue.arn} is not in ENABLED state: it accepts no jobs.")
        _check_share(queue, call.get("shareIdentifier"))
        definition = _definition(backend, call.get("jobDefinition", ""))
        timeout = call.get("timeout") or definition.timeout or {}
        timeout_s = timeout.get("attemptDurationSeconds")
        if timeout_s is not None and timeout_s < LEAST_TIMEOUT_S:
            raise _refusal(f"attemptDurationSeconds must be at least {LEAST_TIMEOUT_S}, got {timeout_s}")
        return Job(
            job_id=job_id,
            name=call.get("jobName"),
            region=call.region,
            queue=queue,
            definition=definition,
            container=_merged(definition.container_properties, call.get("containerOverrides", {})),
            parameters={**definition.parameters, **call.get("parameters", {})},
            retry=_retry(call.get("retryStrategy") or definition.retry_strategy),
            timeout_s=timeout_s,
            depends_on=call.get("dependsOn", []),
            share_identifier=call.get("shareIdentifier"),
            priority=call.get("schedulingPriorityOverride"),
        )

    def _make_array(self, job: Job, call: Call, size: int) -> None:
        if not 2 <= size <= 10_000:
            raise _refusal(f"arrayProperties.size must be between 2 and 10000, got {size}")
        for index in range(size):
            child = self._new_job(call, f"{job.job_id}:{index}")
            child.parent, child.index = job, index
            job.children.append(child)

    def _link(self, job: Job, depends_on: list[dict[str, str]]) -> None:
        """What must succeed before the job, or before each child of an array."""
        for entry in depends_on:
            kind, needed = entry.get("type"), self._jobs.get(entry.get("jobId", ""))
            if "jobId" in entry and needed is None:
                raise _refusal(f"dependsOn names job {entry['jobId']}, which does not exist")
            for index, each in enumerate(job.children or [job]):
                if kind == "SEQUENTIAL":
                    each.needs += job.children[index - 1 : index] if index else []
                elif kind == "N_TO_N":
                    each.needs.append(needed.children[index])
                else:
                    each.needs.append(needed)

    def _listed(self, call: Call) -> list[Job]:
        array, queue_name, filters = call.get("arrayJobId"), call.get("jobQueue"), call.get("filters", [])
        status = call.get("jobStatus", "RUNNING")
        if status not in STATUSES:
            raise _refusal(f"jobStatus must be one of {STATUSES}, got {status!r}")
        if array is not None:
            parent = self._jobs.get(array)
            if parent is None:
                raise _refusal(f"Array job {array} not found.")
            return [child for child in parent.children if child.status == status]
        queue = _backend(call).get_job_queue(queue_name or "")
        if queue is None:
            raise _refusal(f"JobQueue {queue_name} not found.")
        latest = (time.time() - self._platform.settings.list_lag_s) * 1000
        jobs = [
            j for j in self._jobs.values() if j.queue is queue and j.index is None and j.created_ms <= latest
        ]
        if not filters:
            return [job for job in jobs if job.status == status]
        if len(filters) > 1:
            raise _refusal("Only one filter can be used at a time")
        fits = _filter(filters[0])
        return sorted((job for job in jobs if fits(job)), key=lambda job: -job.created_ms)

    def _interrupt(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """{"jobId", "notice": seconds}: its machine is taken away, after a notice. {"done": False} if it has none."""
        job = self._jobs[body["jobId"]]
        with self._scheduler.changed:
            attempt = job.attempt
        if attempt is None:
            return {"done": False, "status": job.status}
        self._scheduler.kill(attempt, host_gone(attempt), notice_s=body.get("notice", 0))
        return {"done": True, "status": job.status, "instanceId": attempt.host.instance_id}

    def _run_out_of_memory(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """{"jobId"}: the kernel kills its container."""
        attempt = self._jobs[body["jobId"]].attempt
        if attempt is None:
            return {"done": False}
        self._scheduler.kill(attempt, Ending(OWN_END, OUT_OF_MEMORY, exit_code=137))
        return {"done": True}

    def _set_capacity(self, body: Mapping[str, float | None]) -> dict[str, Any]:
        """{queue name: vCPUs that it may use; null: as many as its compute environments have}."""
        with self._scheduler.changed:
            for queue, room in body.items():
                if room is None:
                    self._scheduler.room.pop(queue, None)
                else:
                    self._scheduler.room[queue] = room
            self._scheduler.changed.notify_all()
        return {}

    def _set_stuck(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """{"jobNames": [...]}: these stay RUNNABLE, until they are left out of a later list."""
        with self._scheduler.changed:
            self._scheduler.stuck = set(body["jobNames"])
            self._scheduler.changed.notify_all()
        return {}


def _keep_timeouts_of_stacks() -> None:
    """moto forgets the timeout of a job definition that CloudFormation makes."""
    from moto.batch.models import JobDefinition
    from moto.batch.utils import lowercase_first_key

    moto_create = JobDefinition.create_from_cloudformation_json.__func__

    def create(
        cls: type, resource_name: str, cloudformation_json: dict[str, Any], *rest: Any, **named: Any
    ) -> Any:
        definition = moto_create(cls, resource_name, cloudformation_json, *rest, **named)
        definition.timeout = lowercase_first_key(cloudformation_json["Properties"].get("Timeout", {}))
        return definition

    JobDefinition.create_from_cloudformation_json = classmethod(create)


def _backend(call: Call) -> Any:
    from moto.batch.models import batch_backends

    return batch_backends[ACCOUNT][call.region]


def _refusal(message: str) -> AwsError:
    return AwsError("ClientException", f"Error executing request, Exception : {message}")


def _definition(backend: Any, named: str) -> Any:
    """The active revision of that name, name:revision or ARN; without a revision the newest active one."""
    name, _, revision = named.rpartition("/")[2].partition(":")
    found = [
        d
        for d in backend._job_definitions.values()
        if d.name == name and d.status == "ACTIVE" and revision in {"", str(d.revision)}
    ]
    if not found:
        raise _refusal(f"JobDefinition {named} not found, or not in ACTIVE state.")
    newest = max(found, key=lambda definition: definition.revision)
    if newest.container_properties is None:
        raise _refusal(f"JobDefinition {named} has no containerProperties: the double runs no other kind.")
    return newest


def _check_share(queue: Any, share: str | None) -> None:
    if queue.schedule_policy and not share:
        raise _refusal("shareIdentifier is required: the job queue has a scheduling policy.")
    if share and not queue.schedule_policy:
        raise _refusal("shareIdentifier must not be specified: the job queue has no scheduling policy.")


def _retry(strategy: Mapping[str, Any] | None) -> dict[str, Any]:
    strategy = dict(strategy or {})
    attempts = strategy.setdefault("attempts", 1)
    if not 1 <= attempts <= 10:
        raise _refusal(f"retryStrategy.attempts must be between 1 and 10, got {attempts}")
    if len(strategy.get("evaluateOnExit", [])) > 5:
        raise _refusal("retryStrategy.evaluateOnExit has at most 5 entries")
    return strategy


def _merged(properties: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The definition's container with a submission's overrides put in."""
    merged = copy.deepcopy(dict(properties))
    for name in ("command", "vcpus", "memory", "instanceType"):
        if overrides.get(name) is not None:
            merged[name] = overrides[name]
    for name, key in (("environment", "name"), ("resourceRequirements", "type")):
        entries = {entry[key]: entry for entry in [*merged.get(name, []), *overrides.get(name, [])]}
        merged[name] = list(entries.values())
    return merged


def _filter(entry: Mapping[str, Any]) -> Callable[[Job], bool]:
    name, values = entry["name"], entry["values"]
    if name in {"BEFORE_CREATED_AT", "AFTER_CREATED_AT"}:
        limit = int(values[0])
        return lambda job: job.created_ms < limit if name.startswith("BEFORE") else job.created_ms > limit
    fields: dict[str, Callable[[Job], list[str]]] = {
        "JOB_NAME": lambda job: [job.name],
        "JOB_DEFINITION": lambda job: [job.definition.name, job.definition.arn],
        "SHARE_IDENTIFIER": lambda job: [job.share_identifier or ""],
    }
    if name not in fields:
        raise _refusal(f"filters: no filter is named {name!r}")
    return lambda job: any(_fits(value, text) for value in values for text in fields[name](job))


def _fits(pattern: str, text: str) -> bool:
    pattern, text = pattern.lower(), text.lower()
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern


def _read_token(token: str | None) -> int:
    if token is None:
        return 0
    if not token.startswith("from-"):
        raise _refusal(f"nextToken {token!r} is not valid")
    return int(token.removeprefix("from-"))
