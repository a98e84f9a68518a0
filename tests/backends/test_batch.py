"""The batch backend against jobs that really run: one training whatever is repeated, and nothing left of a job that was ended."""

import json
import time
import uuid

import pytest
from aws_double.batch_site import create_queue, register_definition
from trials import until

from hpo_tasks.backends.base import JobStatus
from hpo_tasks.backends.batch import BatchBackend, submission
from hpo_tasks.backends.handles import Handle
from hpo_tasks.errors import RefusedError, UnavailableError
from hpo_tasks.spec.model import BatchBackend as Options
from hpo_tasks.store import open_store
from hpo_tasks.trial.contract import Request, decode_outcome, encode_request
from hpo_tasks.trial.layout import AttemptKey, SlotKey

ENDED = JobStatus("ended")
TAGS = {"hpo:deployment": "test"}


class Site:
    """A queue, a job definition and a store; makes requests and reads what came of them."""

    def __init__(self, aws):
        self.aws = aws
        self.queue = create_queue(aws)
        self.definition = register_definition(aws, ["false"])
        self.store = open_store(f"s3://{aws.new_bucket()}/hpo", client=aws.client("s3"))
        self.study = "s" + uuid.uuid4().hex[:20]
        self.handles = {}

    def get(self, job):
        return self.handles.get(job)

    def keep(self, job, handle):
        self.handles.setdefault(job, handle)

    def replace(self, job, handle):
        self.handles[job] = handle

    def options(self, **changes):
        fields = {"type": "batch", "job_queue": self.queue, "job_definition": self.definition}
        return Options(**(fields | changes))

    def backend(self, **changes):
        """What another process of the control plane would have."""
        client = self.aws.client("batch")
        return BatchBackend(client, self.options(**changes), store=self.store.uri, handles=self, tags=TAGS)

    def request(self, script, slot=0, **changes):
        key = SlotKey(self.study, 0, slot).attempt(1)
        request = Request(
            **{
                "study": self.study, "round": 0, "slot": slot, "attempt": 1, "job": key.job_name, "spec_digest": "d",
                "params": {"x": "$(reboot); `id`"}, "seed": 1, "objectives": ("loss",),
                "program": {"command": ["sh", "-c", script, "sh", "{x}"]}, "timeout_s": 60.0, "grace_s": 1.0,
                **changes,
            }
        )  # fmt: skip
        self.store.create(key.request, encode_request(request))
        return request

    def outcome(self, request):
        data = self.store.read(SlotKey(request.study, request.round, request.slot).outcome)
        return None if data is None else decode_outcome(data)

    def submissions(self):
        return len(self.aws.calls("batch", "SubmitJob"))


TRAIN = """echo '{{"loss": 1}}' > $HPO_METRICS"""
WAIT = "echo up; exec sleep 600"


@pytest.fixture
def site(aws):
    return Site(aws)


def status(backend, request):
    return backend.poll([request.job])[request.job]


def ended(backend, request):
    return until(lambda: (found := status(backend, request)).state == "ended" and found, "the job has ended")


def running(backend, request):
    until(lambda: status(backend, request).state == "running", "the job runs")


def test_a_job_from_submission_to_outcome(site):
    backend, request = site.backend(), site.request(TRAIN)
    assert status(backend, request) == JobStatus("unknown")
    backend.submit(request)
    assert ended(backend, request) == ENDED
    assert site.outcome(request).values == {"loss": 1.0}


def test_no_value_of_a_parameter_reaches_batch(site):
    """The job reads its request: what a parameter is called or worth is in no call, no log and no console."""
    request = site.request(TRAIN)
    backend = site.backend()
    backend.submit(request)
    ended(backend, request)
    assert "reboot" not in json.dumps(site.aws.calls("batch"))


def test_a_job_is_submitted_once_whoever_submits(site):
    """By the handle; by its name where the handle was lost; and again after it has ended."""
    backend, request = site.backend(), site.request(TRAIN)
    backend.submit(request)
    backend.submit(request)
    kept = site.handles.pop(request.job)
    site.backend().submit(request)
    assert site.handles[request.job].id == kept.id
    ended(backend, request)
    site.handles.clear()
    site.backend().submit(request)
    assert site.handles[request.job].id == kept.id
    assert site.submissions() == 1


def test_a_submission_whose_reply_is_lost_is_found_by_its_name(site):
    """SubmitJob knows no token: whoever just repeats it trains twice."""
    site.aws.inject(
        "faults",
        faults=[
            {
                "service": "batch",
                "action": "SubmitJob",
                "after": True,
                "code": "ServerException",
                "status": 500,
                "count": 1,
            }
        ],
    )
    backend, request = site.backend(), site.request(TRAIN)
    backend.submit(request)
    ended(backend, request)
    assert site.submissions() == 1
    assert site.outcome(request).values == {"loss": 1.0}


def test_throttling_is_waited_for(site):
    site.aws.inject(
        "faults",
        faults=[
            {
                "service": "batch",
                "action": "SubmitJob",
                "code": "TooManyRequestsException",
                "status": 429,
                "count": 3,
            }
        ],
    )
    backend, request = site.backend(), site.request(TRAIN)
    backend.submit(request)
    assert ended(backend, request) == ENDED


def test_a_twin_that_slipped_through_trains_nothing(site):
    """Two jobs of one name: the claim lets one train, and that one is awaited from then on, whichever the handle was."""
    backend, request = site.backend(), site.request(f"sleep 2; {TRAIN}")
    backend.submit(request)
    running(backend, request)
    until(lambda: site.store.read(AttemptKey.of_job(request.job).started), "the attempt is claimed")
    twin = site.aws.client("batch").submit_job(
        **submission(request, site.options(), site.store.uri, TAGS, ends_at_s=time.time() + 600)
    )
    site.handles[request.job] = Handle(twin["jobId"], site.handles[request.job].ends_at_s)
    until(lambda: _state(site, twin["jobId"]) == "SUCCEEDED", "the twin has given way")
    assert status(backend, request).state == "running"
    assert site.handles[request.job].id != twin["jobId"]
    assert ended(backend, request) == ENDED
    assert site.outcome(request).values == {"loss": 1.0}


def test_a_stopped_job_is_dead_and_says_why(site):
    backend, request = site.backend(), site.request(WAIT)
    backend.submit(request)
    running(backend, request)
    backend.stop(request.job, grace_s=1.0)
    assert (found := status(backend, request)).state == "ended"
    assert found.cls == "interrupted"
    assert site.aws.alive()["batch"] == []
    backend.stop(request.job, grace_s=1.0)  # no error


def test_a_spot_loss_is_interrupted_and_memory_is_oom(site):
    backend = site.backend()
    lost, large = site.request(WAIT, slot=0), site.request(WAIT, slot=1)
    for request in (lost, large):
        backend.submit(request)
        running(backend, request)
    site.aws.inject("batch/interrupt", jobId=site.handles[lost.job].id, notice=0.1)
    site.aws.inject("batch/oom", jobId=site.handles[large.job].id)
    assert ended(backend, lost).cls == "interrupted"
    assert ended(backend, large).cls == "oom"


def test_an_image_that_cannot_be_pulled_is_infra(site):
    site.aws.inject("config", images=[["nothing", {}]])
    backend, request = site.backend(), site.request(TRAIN)
    backend.submit(request)
    found = ended(backend, request)
    assert found.cls == "infra"
    assert "image" in found.reason


def test_a_queue_that_is_not_there_is_refused_with_its_name(site):
    with pytest.raises(RefusedError, match="no-such-queue"):
        site.backend(job_queue="no-such-queue").submit(site.request(TRAIN))


def test_a_batch_that_does_not_answer_is_unavailable(site):
    backend, request = site.backend(), site.request(TRAIN)
    backend.submit(request)
    site.aws.inject(
        "faults",
        faults=[
            {
                "service": "batch",
                "action": "DescribeJobs",
                "code": "ServerException",
                "status": 503,
                "count": 1,
            }
        ],
    )
    with pytest.raises(UnavailableError, match="DescribeJobs"):
        status(backend, request)


def test_250_jobs_are_described_in_three_calls(site):
    site.handles = {f"hpo-{site.study}-0-{n}-1": Handle(f"id-{n}", 0.0) for n in range(250)}
    found = site.backend().poll(list(site.handles))
    assert {each.cls for each in found.values()} == {"infra"}
    assert len(site.aws.calls("batch", "DescribeJobs")) == 3


def test_a_job_that_batch_does_not_know_counts_as_alive_as_long_as_it_can_be(site):
    """The connection's region may have been changed: another attempt would train beside the one that is there."""
    request = site.request(TRAIN)
    site.handles[request.job] = Handle("elsewhere", time.time() + 600)
    assert status(site.backend(), request) == JobStatus("pending")
    site.handles[request.job] = Handle("elsewhere", time.time() - 1)
    assert status(site.backend(), request).cls == "infra"


def test_a_handle_of_a_foreign_job_is_not_believed(site):
    """Whoever could write it would have the study wait for, or end, the job of another."""
    backend, mine, other = site.backend(), site.request(TRAIN, slot=0), site.request(WAIT, slot=1)
    backend.submit(other)
    site.handles[mine.job] = site.handles[other.job]
    assert status(backend, mine).cls == "infra"


def _state(site, job_id):
    return site.aws.client("batch").describe_jobs(jobs=[job_id])["jobs"][0]["status"]
