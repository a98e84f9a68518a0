"""Array jobs."""

import itertools

import pytest

from aws_double.batch_site import create_queue, describe, log_lines, register_definition, wait_for
from aws_double.double import AwsDouble


@pytest.fixture
def queue(aws):
    return create_queue(aws)


def submit_array(aws: AwsDouble, queue, command, size, **parameters):
    definition = register_definition(aws, ["sh", "-c", command])
    reply = aws.client("batch").submit_job(
        jobName="array",
        jobQueue=queue,
        jobDefinition=definition,
        arrayProperties={"size": size},
        **parameters,
    )
    return reply["jobId"]


def test_each_child_knows_its_index_and_the_parent_ends_with_the_last(aws, queue):
    parent_id = submit_array(aws, queue, "echo $AWS_BATCH_JOB_ARRAY_INDEX of $AWS_BATCH_JOB_ARRAY_SIZE", 5)
    parent = wait_for(aws, parent_id)
    assert parent["status"] == "SUCCEEDED"
    assert parent["arrayProperties"]["size"] == 5
    assert parent["arrayProperties"]["statusSummary"]["SUCCEEDED"] == 5
    for index in range(5):
        child = describe(aws, f"{parent_id}:{index}")
        assert child["arrayProperties"]["index"] == index
        assert log_lines(aws, child) == [f"{index} of 5"]


def test_one_failed_child_fails_the_parent_after_the_others_have_ended(aws, queue):
    parent_id = submit_array(
        aws, queue, "test $AWS_BATCH_JOB_ARRAY_INDEX != 1", 3, retryStrategy={"attempts": 2}
    )
    parent = wait_for(aws, parent_id)
    assert parent["status"] == "FAILED"
    assert parent["arrayProperties"]["statusSummary"]["SUCCEEDED"] == 2
    assert len(describe(aws, f"{parent_id}:1")["attempts"]) == 2


def test_children_are_listed_by_their_parent_only(aws, queue):
    batch = aws.client("batch")
    parent_id = submit_array(aws, queue, "sleep 100", 3)
    for index in range(3):
        wait_for(aws, f"{parent_id}:{index}", "RUNNING")
    children = batch.list_jobs(arrayJobId=parent_id)["jobSummaryList"]
    assert [child["arrayProperties"]["index"] for child in children] == [0, 1, 2]
    in_queue = batch.list_jobs(jobQueue=queue, filters=[{"name": "JOB_NAME", "values": ["array"]}])[
        "jobSummaryList"
    ]
    assert [job["jobId"] for job in in_queue] == [parent_id]
    assert in_queue[0]["status"] == "PENDING"


def test_terminating_the_parent_ends_every_child(aws, queue):
    parent_id = submit_array(aws, queue, "exec sleep 100", 4)
    wait_for(aws, f"{parent_id}:3", "RUNNING")
    aws.inject("config", grace=0.1)
    aws.client("batch").terminate_job(jobId=parent_id, reason="over")
    parent = wait_for(aws, parent_id)
    assert parent["arrayProperties"]["statusSummary"]["FAILED"] == 4
    assert aws.alive()["batch"] == []


def test_sequential_children_run_one_after_the_other(aws, queue):
    parent_id = submit_array(aws, queue, "sleep 0.1", 3, dependsOn=[{"type": "SEQUENTIAL"}])
    wait_for(aws, parent_id)
    children = [describe(aws, f"{parent_id}:{index}") for index in range(3)]
    assert all(later["startedAt"] >= one["stoppedAt"] for one, later in itertools.pairwise(children))


def test_an_array_is_one_call(aws, queue):
    parent_id = submit_array(aws, queue, "true", 100)
    assert wait_for(aws, parent_id, timeout_s=60)["status"] == "SUCCEEDED"
    assert len(aws.calls("batch", "SubmitJob")) == 1
