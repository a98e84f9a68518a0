"""Attempts as jobs on AWS Batch.

SubmitJob is not idempotent. So a job is looked up by its name before it is submitted; what slips through (a reply that got
lost, a list that does not show the job yet) is a twin, which exits as soon as it finds the start marker.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hpo_tasks.backends.aws_errors import BOTO_ERRORS, explain
from hpo_tasks.backends.base import JobStatus
from hpo_tasks.backends.batch_status import LIVE, STOPPED_BY_US, missing, status_of
from hpo_tasks.backends.handles import Handle, Handles
from hpo_tasks.backends.reaper import LiveJob
from hpo_tasks.errors import UnavailableError
from hpo_tasks.spec.model import BatchBackend as Options
from hpo_tasks.trial.contract import Request
from hpo_tasks.trial.layout import AttemptKey
from hpo_tasks.trial.retries import Retries

MAX_DESCRIBED = 100
"""Ids in one DescribeJobs."""
SHORTEST_TIMEOUT_S = 60
"""Batch takes no shorter one."""
MARGIN_S = 1800.0
"""What a job may take beside its program and the grace: fetch code and inputs, upload the model, write how it ended."""
SUBMIT_PATIENCE_S = 120.0
"""A thousand jobs at once are more than Batch takes in a second."""
DEPLOYMENT = "hpo:deployment"
"""Tag of a job: the deployment whose job it is."""
ENDS = "hpo:ends"
"""Tag of a job: after this, in seconds since the epoch, nothing needs it any more."""
TERMINATE_PATIENCE_S = 20.0
STOP_POLL_S = 1.0
STOP_PATIENCE_S = 120.0


class BatchBackend:
    """Implements `Backend` on AWS Batch.

    Args:
        client: boto3 client of `batch`, which does not repeat calls by itself.
        options: the study's `backend`.
        store: URI of the object store, where jobs find their requests.
        handles: where the ids of jobs are kept.
        tags: of every job.
    """

    def __init__(
        self, client: Any, options: Options, *, store: str, handles: Handles, tags: Mapping[str, str]
    ) -> None:
        self._client = client
        self._options = options
        self._store = store.rstrip("/")
        self._handles = handles
        self._tags = dict(tags)

    def submit(self, request: Request) -> None:
        """As `Backend.submit`."""
        if self._handles.get(request.job) is None:
            # Each try looks anew: the one before may have submitted the job, and only its reply got lost.
            retries = Retries(SUBMIT_PATIENCE_S)
            ends_at_s = time.time() + life_s(request, self._options)
            job_id = retries.run(lambda: self._find(request.job) or self._submit(request, ends_at_s))
            self._handles.keep(request.job, Handle(job_id, ends_at_s))

    def poll(self, jobs: Sequence[str]) -> Mapping[str, JobStatus]:
        """As `Backend.poll`. As long as any job of a name lives, that one counts: of twins, one trains."""
        handles = {job: self._handles.get(job) for job in jobs}
        described = describe(self._client, [handle.id for handle in handles.values() if handle])
        return {
            job: self._status(job, handle, described.get(handle.id)) if handle else JobStatus("unknown")
            for job, handle in handles.items()
        }

    def stop(self, job: str, *, grace_s: float) -> None:
        """As `Backend.stop`; the grace is the container's own (`stopTimeout` of ECS)."""
        del grace_s
        ids = {each["jobId"] for each in self._named(job) if not _ended(each)}
        if (handle := self._handles.get(job)) is not None:
            ids.add(handle.id)
        for each in ids:
            terminate(self._client, each, "the study needs it no more")
        deadline = time.monotonic() + STOP_PATIENCE_S
        while any(status_of(each).state != "ended" for each in describe(self._client, sorted(ids)).values()):
            if time.monotonic() > deadline:
                raise UnavailableError(f"job {job} does not end, though Batch was told to terminate it")
            time.sleep(STOP_POLL_S)

    def log_tail(self, job: str) -> str:
        """As `Backend.log_tail`: the runner keeps the log in the object store, Batch has nothing more."""
        del job
        return ""

    def _status(self, job: str, handle: Handle, described: Mapping[str, Any] | None) -> JobStatus:
        if described is None:
            return missing(handle.ends_at_s, time.time())
        if described.get("jobName") != job:  # somebody has written the handle who should not
            return JobStatus("ended", "infra", f"job {handle.id} is not the attempt's")
        status = status_of(described)
        if status.state == "ended" and (twins := [each for each in self._named(job) if not _ended(each)]):
            self._handles.replace(job, Handle(str(twins[0]["jobId"]), handle.ends_at_s))
            return status_of(twins[0])
        return status

    def _find(self, job: str) -> str | None:
        """Id of a job of this name: a living one, else the newest."""
        found = sorted(self._named(job), key=lambda each: (_ended(each), -each.get("createdAt", 0)))
        return str(found[0]["jobId"]) if found else None

    def _named(self, job: str) -> Iterator[Mapping[str, Any]]:
        filters = [{"name": "JOB_NAME", "values": [job]}]
        token: dict[str, str] = {}
        while True:
            try:
                page = self._client.list_jobs(jobQueue=self._options.job_queue, filters=filters, **token)
            except BOTO_ERRORS as error:
                raise explain(error, f"Batch: ListJobs in queue {self._options.job_queue}") from None
            yield from page.get("jobSummaryList", ())
            if not page.get("nextToken"):
                return
            token = {"nextToken": page["nextToken"]}

    def _submit(self, request: Request, ends_at_s: float) -> str:
        try:
            submitted = self._client.submit_job(
                **submission(request, self._options, self._store, self._tags, ends_at_s=ends_at_s)
            )
        except BOTO_ERRORS as error:
            raise explain(error, f"Batch: SubmitJob to queue {self._options.job_queue}") from None
        return str(submitted["jobId"])


def life_s(request: Request, options: Options) -> float:
    """For how long a job can be alive: waiting for capacity, then up to its own time limit."""
    return options.queue_timeout_s + longest_run_s(request)


def longest_run_s(request: Request) -> float:
    """A job's own time limit."""
    return max(SHORTEST_TIMEOUT_S, request.timeout_s + request.grace_s + MARGIN_S)


def submission(
    request: Request, options: Options, store: str, tags: Mapping[str, str], *, ends_at_s: float
) -> dict[str, Any]:
    """Arguments of SubmitJob for a request. Pure. No value of a parameter is among them: the job reads its request."""
    key = AttemptKey.of_job(request.job)
    resources = [
        {"type": "VCPU", "value": str(request.threads)},
        *([{"type": "GPU", "value": str(request.gpus)}] if request.gpus else []),
        *(
            [{"type": "MEMORY", "value": str(math.ceil(request.memory_bytes / 2**20))}]
            if request.memory_bytes
            else []
        ),
    ]
    return {
        "jobName": request.job,
        "jobQueue": options.job_queue,
        "jobDefinition": options.job_definition,
        "containerOverrides": {
            "command": ["python", "-m", "hpo_tasks.trial", f"{store}/{key.request}"],
            "resourceRequirements": resources,
        },
        # A new attempt is ours to start: it has a name and a request of its own.
        "retryStrategy": {"attempts": 1},
        "timeout": {"attemptDurationSeconds": math.ceil(longest_run_s(request))},
        "tags": {**tags, ENDS: str(math.ceil(ends_at_s))},
        "propagateTags": True,
        **({"shareIdentifier": options.share_identifier} if options.share_identifier else {}),
        **(
            {"schedulingPriorityOverride": options.scheduling_priority}
            if options.scheduling_priority is not None
            else {}
        ),
    }


def describe(client: Any, ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Id → description, of the jobs that Batch still knows; one call for each hundred.

    Raises:
        UnavailableError, RefusedError: Batch's.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for first in range(0, len(ids), MAX_DESCRIBED):
        try:
            answer = client.describe_jobs(jobs=list(ids[first : first + MAX_DESCRIBED]))
        except BOTO_ERRORS as error:
            raise explain(error, "Batch: DescribeJobs") from None
        found |= {job["jobId"]: job for job in answer.get("jobs", ())}
    return found


def live_jobs(client: Any, queue: str) -> list[LiveJob]:
    """Jobs with names like ours in a queue that have not ended.

    Raises:
        UnavailableError, RefusedError: Batch's.
    """
    ids: list[str] = []
    for status in LIVE:
        token: dict[str, str] = {}
        while True:
            try:
                page = client.list_jobs(jobQueue=queue, jobStatus=status, **token)
            except BOTO_ERRORS as error:
                raise explain(error, f"Batch: ListJobs in queue {queue}") from None
            ids += [each["jobId"] for each in page["jobSummaryList"] if each["jobName"].startswith("hpo-")]
            if not page.get("nextToken"):
                break
            token = {"nextToken": page["nextToken"]}
    jobs = (job for job in describe(client, ids).values() if not _ended(job))
    return [_live(job) for job in jobs]


def _live(job: Mapping[str, Any]) -> LiveJob:
    tags = job.get("tags") or {}
    ends = str(tags.get(ENDS, ""))
    return LiveJob(
        name=job["jobName"],
        id=job["jobId"],
        deployment=tags.get(DEPLOYMENT),
        created_at_s=float(job.get("createdAt", 0)) / 1000,
        ends_at_s=float(ends) if ends.isdecimal() else None,
    )


def terminate(client: Any, job_id: str, why: str) -> None:
    """Tell Batch to end a job; returns before it is dead. No error if it has ended.

    Raises:
        UnavailableError, RefusedError: Batch's.
    """

    def once() -> None:
        try:
            client.terminate_job(jobId=job_id, reason=f"{STOPPED_BY_US}{why}")
        except BOTO_ERRORS as error:
            raise explain(error, f"Batch: TerminateJob {job_id}") from None

    Retries(TERMINATE_PATIENCE_S).run(once)  # a thousand at once are more than Batch takes in a second


def _ended(job: Mapping[str, Any]) -> bool:
    return status_of(job).state == "ended"
