"""Batch when things go wrong: spot losses, memory, capacity, images, submissions that fail after they worked."""

import time

import pytest
from botocore.exceptions import ClientError

from aws_double.batch_site import create_queue, describe, log_lines, register_definition, wait_for

WATCHER = """
import os, time, urllib.error, urllib.request
print("up", flush=True)
base = os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"]
while True:
    try:
        print(urllib.request.urlopen(base + "/latest/meta-data/spot/instance-action").read().decode(), flush=True)
        break
    except urllib.error.HTTPError as error:
        assert error.code == 404
        time.sleep(0.02)
time.sleep(100)
"""


@pytest.fixture
def queue(aws):
    return create_queue(aws, spot=True)


def submit(aws, queue, command, name="job", **parameters):
    definition = register_definition(aws, command)
    return aws.client("batch").submit_job(
        jobName=name, jobQueue=queue, jobDefinition=definition, **parameters
    )["jobId"]


def test_a_spot_loss_is_announced_and_then_ends_the_attempt_without_an_exit_code(aws, queue):
    strategy = {"attempts": 2, "evaluateOnExit": [{"onStatusReason": "Host EC2*", "action": "RETRY"}]}
    job_id = submit(aws, queue, ["python", "-c", WATCHER], retryStrategy=strategy)
    running = wait_for(aws, job_id, "RUNNING")
    while log_lines(aws, running) != ["up"]:
        time.sleep(0.02)
    lost = aws.inject("batch/interrupt", jobId=job_id, notice=0.5)
    while not (attempts := describe(aws, job_id)["attempts"]):
        time.sleep(0.02)
    assert attempts[0]["statusReason"] == f"Host EC2 (instance {lost['instanceId']}) terminated."
    assert "exitCode" not in attempts[0]["container"]
    again = wait_for(aws, job_id, "RUNNING")
    assert lost["instanceId"] not in again["container"]["containerInstanceArn"]
    first_log = aws.client("logs").get_log_events(
        logGroupName="/aws/batch/job", logStreamName=attempts[0]["container"]["logStreamName"]
    )["events"]
    assert '"action": "terminate"' in first_log[-1]["message"]


@pytest.mark.parametrize("state", ["STARTING", "RUNNING"])
def test_a_spot_loss_without_retries_fails_the_job_in_any_state(aws, queue, state):
    aws.inject("config", stay={"STARTING": 0.5} if state == "STARTING" else {})
    job_id = submit(aws, queue, ["sleep", "100"])
    wait_for(aws, job_id, state)
    assert aws.inject("batch/interrupt", jobId=job_id)["done"]
    job = wait_for(aws, job_id)
    assert job["status"] == "FAILED"
    assert job["statusReason"].startswith("Host EC2 (instance i-")


def test_a_job_without_a_machine_cannot_lose_it(aws, queue):
    aws.inject("batch/capacity", **{queue: 0})
    job_id = submit(aws, queue, ["true"])
    wait_for(aws, job_id, "RUNNABLE")
    assert aws.inject("batch/interrupt", jobId=job_id) == {"done": False, "status": "RUNNABLE"}


def test_a_storm_takes_machines_from_a_share_of_the_attempts_and_all_jobs_end_well(aws, queue):
    aws.inject("storm", service="batch", share=0.5, within_s=0.1, notice_s=0, seed=3)
    ids = [submit(aws, queue, ["sleep", "0.3"], f"j{n}", retryStrategy={"attempts": 10}) for n in range(12)]
    jobs = [wait_for(aws, job_id) for job_id in ids]
    assert {job["status"] for job in jobs} == {"SUCCEEDED"}
    assert sum(len(job["attempts"]) for job in jobs) > 12


def test_out_of_memory_says_so(aws, queue):
    job_id = submit(aws, queue, ["sleep", "100"])
    wait_for(aws, job_id, "RUNNING")
    aws.inject("batch/oom", jobId=job_id)
    job = wait_for(aws, job_id)
    assert job["container"]["exitCode"] == 137
    assert job["container"]["reason"].startswith("OutOfMemoryError")


def test_without_capacity_jobs_stay_runnable_until_there_is_some(aws, queue):
    aws.inject("batch/capacity", **{queue: 0})
    job_id = submit(aws, queue, ["true"])
    waiting = wait_for(aws, job_id, "RUNNABLE")
    deadline = time.monotonic() + 5
    while "CAPACITY" not in waiting.get("statusReason", ""):
        assert time.monotonic() < deadline
        waiting = describe(aws, job_id)
    aws.inject("batch/capacity", **{queue: None})
    assert wait_for(aws, job_id)["status"] == "SUCCEEDED"


def test_a_stuck_job_lets_others_pass(aws, queue):
    aws.inject("batch/stuck", jobNames=["stuck"])
    stuck, other = submit(aws, queue, ["true"], "stuck"), submit(aws, queue, ["true"], "other")
    assert wait_for(aws, other)["status"] == "SUCCEEDED"
    assert describe(aws, stuck)["status"] == "RUNNABLE"
    aws.inject("batch/stuck", jobNames=[])
    assert wait_for(aws, stuck)["status"] == "SUCCEEDED"


def test_a_job_larger_than_its_queue_stays_runnable_and_says_why(aws):
    queue = create_queue(aws, "small", vcpus=2)
    needs = {"resourceRequirements": [{"type": "VCPU", "value": "4"}]}
    job_id = submit(aws, queue, ["true"], containerOverrides=needs)
    wait_for(aws, job_id, "RUNNABLE")
    deadline = time.monotonic() + 5
    while "MISCONFIGURATION" not in describe(aws, job_id).get("statusReason", ""):
        assert time.monotonic() < deadline


def test_an_image_that_does_not_exist_fails_the_start(aws, queue):
    aws.inject("config", images=[["good:.*", {"entrypoint": ["echo"], "env": {"A": "1"}}]])
    bad = wait_for(aws, submit(aws, queue, ["x"]))
    assert bad["statusReason"] == "Task failed to start"
    assert bad["container"]["reason"].startswith("CannotPullContainerError")
    assert "exitCode" not in bad["container"]
    definition = register_definition(aws, ["hello"], "good", image="good:1")
    batch = aws.client("batch")
    good = batch.submit_job(jobName="good", jobQueue=queue, jobDefinition=definition)["jobId"]
    assert log_lines(aws, wait_for(aws, good)) == ["hello"]


def test_a_submission_that_fails_after_it_worked_leaves_a_job_that_can_be_found(aws, queue):
    aws.inject("faults", service="batch", action="SubmitJob", code="ServerException", status=500, after=True)
    with pytest.raises(ClientError):
        submit(aws, queue, ["true"], "twin")
    found = aws.client("batch").list_jobs(jobQueue=queue, filters=[{"name": "JOB_NAME", "values": ["twin"]}])
    assert [job["jobName"] for job in found["jobSummaryList"]] == ["twin"]


def test_capacity_comes_back_after_every_way_to_end(aws):
    queue = create_queue(aws, "one", vcpus=1)
    aws.inject("config", images=[["trial:1", {}]], grace=0.1)
    definition = register_definition(aws, ["true"], "unknown", image="unknown:1")
    aws.client("batch").submit_job(jobName="unknown", jobQueue=queue, jobDefinition=definition)
    for act in ("batch/oom", "batch/interrupt"):
        job_id = submit(aws, queue, ["sleep", "100"])
        wait_for(aws, job_id, "RUNNING")
        aws.inject(act, jobId=job_id)
    job_id = submit(aws, queue, ["sleep", "100"])
    wait_for(aws, job_id, "RUNNING")
    aws.client("batch").terminate_job(jobId=job_id, reason="x")
    assert wait_for(aws, submit(aws, queue, ["true"]))["status"] == "SUCCEEDED"


def test_a_thousand_sleeping_jobs_run_at_a_time(aws):
    queue = create_queue(aws, "huge", vcpus=1000)
    aws.inject("config", light=True, grace=0.1)
    definition = register_definition(aws, ["sleep", "600"])
    parent_id = aws.client("batch").submit_job(
        jobName="sleepers", jobQueue=queue, jobDefinition=definition, arrayProperties={"size": 1000}
    )["jobId"]
    deadline = time.monotonic() + 90
    while describe(aws, parent_id)["arrayProperties"]["statusSummary"]["RUNNING"] < 1000:
        assert time.monotonic() < deadline
        time.sleep(0.3)
    aws.client("batch").terminate_job(jobId=parent_id, reason="enough")
    wait_for(aws, parent_id, timeout_s=60)
    assert aws.alive()["batch"] == []
