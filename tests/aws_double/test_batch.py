"""Batch: what is submitted runs, and is shown as AWS shows it."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from aws_double.batch_site import create_queue, describe, log_lines, register_definition, wait_for
from aws_double.settings import JOB_ACCESS_KEY


@pytest.fixture
def queue(aws):
    return create_queue(aws)


def submit(aws, queue, command, name="job", *, definition=None, **parameters):
    definition = definition or register_definition(aws, command)
    return aws.client("batch").submit_job(
        jobName=name, jobQueue=queue, jobDefinition=definition, **parameters
    )["jobId"]


def refusal(call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    assert caught.value.response["Error"]["Code"] == "ClientException"
    return caught.value.response["Error"]["Message"]


def test_a_job_runs_and_its_output_is_in_the_log_line_by_line(aws, queue):
    job = wait_for(aws, submit(aws, queue, ["sh", "-c", "echo one; echo two"]))
    assert job["status"] == "SUCCEEDED"
    assert job["container"]["exitCode"] == 0
    assert job["statusReason"] == "Essential container in task exited"
    assert log_lines(aws, job) == ["one", "two"]
    assert job["createdAt"] <= job["startedAt"] <= job["stoppedAt"]


def test_a_failing_job_fails_with_its_exit_code_and_one_attempt(aws, queue):
    job = wait_for(aws, submit(aws, queue, ["sh", "-c", "exit 3"]))
    assert job["status"] == "FAILED"
    assert job["container"]["exitCode"] == 3
    assert [attempt["container"]["exitCode"] for attempt in job["attempts"]] == [3]


def test_overrides_parameters_and_batchs_own_variables_reach_the_program(aws, queue):
    definition = register_definition(aws, ["printenv"], parameters={"who": "nobody"})
    job_id = submit(
        aws,
        queue,
        None,
        definition=definition,
        parameters={"who": "me"},
        containerOverrides={
            "command": ["sh", "-c", "echo $0 $GREETING; env", "Ref::who"],
            "environment": [{"name": "GREETING", "value": "hello"}],
            "resourceRequirements": [{"type": "MEMORY", "value": "1024"}],
        },
    )
    job = wait_for(aws, job_id)
    lines = log_lines(aws, job)
    assert lines[0] == "me hello"
    assert {
        f"AWS_BATCH_JOB_ID={job_id}",
        "AWS_BATCH_JOB_ATTEMPT=1",
        f"AWS_BATCH_JQ_NAME={queue}",
        f"AWS_BATCH_CE_NAME={queue}-machines",
    } <= set(lines)
    assert {"type": "MEMORY", "value": "1024"} in job["container"]["resourceRequirements"]
    assert {"type": "VCPU", "value": "1"} in job["container"]["resourceRequirements"]


def test_a_job_calls_aws_with_a_key_of_its_own(aws, queue):
    bucket = aws.new_bucket()
    program = f"import boto3; boto3.client('s3').put_object(Bucket='{bucket}', Key='from-job', Body=b'1')"
    assert wait_for(aws, submit(aws, queue, ["python", "-c", program]))["status"] == "SUCCEEDED"
    assert [call["access_key"] for call in aws.calls("s3", "PutObject")] == [JOB_ACCESS_KEY]


def test_a_job_without_keys_gets_those_of_its_machine_from_the_metadata(aws, queue):
    program = (
        "import os, boto3\n"
        "for name in ('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'): del os.environ[name]\n"
        "print(boto3.Session().get_credentials().access_key)"
    )
    job = wait_for(aws, submit(aws, queue, ["python", "-c", program]))
    assert log_lines(aws, job) == ["instance-access-key"]


def test_a_program_starts_as_process_1_with_no_signal_ignored(aws, queue):
    program = (
        "import os, signal; print(os.getpid(), signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    )
    job = wait_for(aws, submit(aws, queue, ["python", "-c", program]))
    assert log_lines(aws, job) == ["1 True"]


def test_a_failed_attempt_is_retried_as_the_definition_says(aws, queue):
    definition = register_definition(
        aws, ["sh", "-c", "exit $AWS_BATCH_JOB_ATTEMPT"], retryStrategy={"attempts": 3}
    )
    job = wait_for(aws, submit(aws, queue, None, definition=definition))
    assert job["retryStrategy"]["attempts"] == 3
    assert [attempt["container"]["exitCode"] for attempt in job["attempts"]] == [1, 2, 3]
    assert len({attempt["container"]["logStreamName"] for attempt in job["attempts"]}) == 3


@pytest.mark.parametrize(("code", "attempts"), [(1, 3), (42, 1), (43, 3)])
def test_the_first_fitting_rule_decides_whether_an_attempt_is_retried(aws, queue, code, attempts):
    rules = [{"onExitCode": "42", "action": "exit"}, {"onStatusReason": "Host EC2*", "action": "RETRY"}]
    strategy = {"attempts": 3, "evaluateOnExit": rules}
    job = wait_for(aws, submit(aws, queue, ["sh", "-c", f"exit {code}"], retryStrategy=strategy))
    assert len(job["attempts"]) == attempts


def test_a_timeout_ends_the_attempt_for_good(aws, queue):
    aws.inject("config", clock=200, grace=0.2)
    strategy = {"attempts": 3}
    timeout = {"attemptDurationSeconds": 60}
    job = wait_for(aws, submit(aws, queue, ["sleep", "100"], retryStrategy=strategy, timeout=timeout))
    assert job["status"] == "FAILED"
    assert job["statusReason"] == "Job attempt duration exceeded timeout"
    assert len(job["attempts"]) == 1
    assert job["timeout"] == timeout


def test_terminating_sends_term_and_waits_for_the_grace(aws, queue):
    program = "trap 'echo saved; exit 9' TERM; echo up; while :; do sleep 0.05; done"
    job_id = submit(aws, queue, ["sh", "-c", program], retryStrategy={"attempts": 5})
    running = wait_for(aws, job_id, "RUNNING")
    while log_lines(aws, running) != ["up"]:
        time.sleep(0.02)
    aws.client("batch").terminate_job(jobId=job_id, reason="not wanted")
    job = wait_for(aws, job_id)
    assert (job["status"], job["statusReason"], job["isTerminated"]) == ("FAILED", "not wanted", True)
    assert job["container"]["exitCode"] == 9
    assert log_lines(aws, job) == ["up", "saved"]
    assert len(job["attempts"]) == 1


def test_a_program_deaf_to_term_is_killed_after_the_grace(aws, queue):
    aws.inject("config", grace=0.3)
    job_id = submit(aws, queue, ["sh", "-c", "sleep 100; true"])
    wait_for(aws, job_id, "RUNNING")
    aws.client("batch").terminate_job(jobId=job_id, reason="enough")
    assert wait_for(aws, job_id)["container"]["exitCode"] == 137


def test_cancelling_ends_a_waiting_job_and_leaves_a_running_one(aws):
    queue = create_queue(aws, "narrow", vcpus=1)
    batch = aws.client("batch")
    running = submit(aws, queue, ["sleep", "100"])
    wait_for(aws, running, "RUNNING")
    waiting = submit(aws, queue, ["true"])
    wait_for(aws, waiting, "RUNNABLE")
    for job_id in (running, waiting):
        batch.cancel_job(jobId=job_id, reason="changed my mind")
    cancelled = wait_for(aws, waiting)
    assert (cancelled["status"], cancelled["statusReason"]) == ("FAILED", "changed my mind")
    assert cancelled["isCancelled"]
    assert cancelled["attempts"] == []
    assert describe(aws, running)["status"] == "RUNNING"


def test_a_queue_runs_as_many_jobs_at_a_time_as_it_has_vcpus(aws):
    queue = create_queue(aws, "two", vcpus=2)
    ids = [submit(aws, queue, ["sleep", "0.3"]) for _ in range(6)]
    most = 0
    while any(describe(aws, job_id)["status"] != "SUCCEEDED" for job_id in ids):
        most = max(most, len(aws.client("batch").list_jobs(jobQueue=queue)["jobSummaryList"]))
    assert most == 2


def test_listing_shows_running_jobs_unless_asked_otherwise(aws):
    queue = create_queue(aws, "one", vcpus=1)
    running, waiting = (submit(aws, queue, ["sleep", "100"], name) for name in ("running", "waiting"))
    wait_for(aws, running, "RUNNING")
    wait_for(aws, waiting, "RUNNABLE")

    def names(**parameters):
        return [
            job["jobName"]
            for job in aws.client("batch").list_jobs(jobQueue=queue, **parameters)["jobSummaryList"]
        ]

    assert names() == ["running"]
    assert names(jobStatus="RUNNABLE") == ["waiting"]
    assert names(filters=[{"name": "JOB_NAME", "values": ["WAITING"]}]) == ["waiting"]
    assert sorted(names(filters=[{"name": "JOB_NAME", "values": ["*"]}])) == ["running", "waiting"]
    assert names(filters=[{"name": "JOB_NAME", "values": ["run*"]}]) == ["running"]
    assert sorted(names(filters=[{"name": "JOB_DEFINITION", "values": ["trial"]}])) == ["running", "waiting"]


def test_listing_comes_in_pages(aws, queue):
    for number in range(7):
        submit(aws, queue, ["true"], f"job-{number}")
    pages = (
        aws.client("batch")
        .get_paginator("list_jobs")
        .paginate(
            jobQueue=queue,
            filters=[{"name": "JOB_NAME", "values": ["job-*"]}],
            PaginationConfig={"PageSize": 3},
        )
    )
    sizes, names = [], set()
    for page in pages:
        sizes.append(len(page["jobSummaryList"]))
        names |= {job["jobName"] for job in page["jobSummaryList"]}
    assert sizes == [3, 3, 1]
    assert names == {f"job-{number}" for number in range(7)}


def test_listing_can_lag_behind_submitting(aws, queue):
    aws.inject("config", list_lag_s=0.5)
    by_name = {"jobQueue": queue, "filters": [{"name": "JOB_NAME", "values": ["late"]}]}
    job_id = submit(aws, queue, ["true"], "late")
    assert aws.client("batch").list_jobs(**by_name)["jobSummaryList"] == []
    assert describe(aws, job_id)["jobName"] == "late"
    deadline = time.monotonic() + 5
    while not aws.client("batch").list_jobs(**by_name)["jobSummaryList"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_tags_are_kept_and_can_be_added(aws, queue):
    batch = aws.client("batch")
    job = describe(aws, submit(aws, queue, ["true"], tags={"study": "s1"}))
    batch.tag_resource(resourceArn=job["jobArn"], tags={"owner": "me"})
    assert describe(aws, job["jobId"])["tags"] == {"study": "s1", "owner": "me"}
    assert batch.list_tags_for_resource(resourceArn=job["jobArn"])["tags"] == {"study": "s1", "owner": "me"}


def test_a_job_waits_for_the_one_that_it_depends_on(aws, queue):
    first = submit(aws, queue, ["sleep", "0.3"])
    second = submit(aws, queue, ["true"], dependsOn=[{"jobId": first}])
    assert wait_for(aws, second)["startedAt"] >= describe(aws, first)["stoppedAt"]
    third = submit(aws, queue, ["false"])
    fourth = wait_for(aws, submit(aws, queue, ["true"], dependsOn=[{"jobId": third}]))
    assert (fourth["status"], fourth["statusReason"]) == ("FAILED", "Dependent Job failed")


def test_what_aws_refuses_is_refused(aws, queue):
    batch = aws.client("batch")
    definition = register_definition(aws, ["true"])
    good = {"jobName": "x", "jobQueue": queue, "jobDefinition": definition}
    assert "absent" in refusal(batch.submit_job, **{**good, "jobQueue": "absent"})
    assert "absent" in refusal(batch.submit_job, **{**good, "jobDefinition": "absent"})
    assert "pattern" in refusal(batch.submit_job, **{**good, "jobName": "a b"})
    assert "between 2" in refusal(batch.submit_job, **good, arrayProperties={"size": 1})
    assert "at least 60" in refusal(batch.submit_job, **good, timeout={"attemptDurationSeconds": 5})
    assert "shareIdentifier" in refusal(batch.submit_job, **good, shareIdentifier="team")
    assert "100" in refusal(batch.describe_jobs, jobs=[str(number) for number in range(101)])
    assert "absent" in refusal(batch.list_jobs, jobQueue="absent")
    batch.deregister_job_definition(jobDefinition=definition)
    assert "ACTIVE" in refusal(batch.submit_job, **good)
    batch.update_job_queue(jobQueue=queue, state="DISABLED")
    assert "ENABLED" in refusal(batch.submit_job, **good)
    assert batch.describe_jobs(jobs=["unknown"])["jobs"] == []


def test_a_share_identifier_is_needed_and_kept_where_the_queue_has_a_policy(aws, queue):
    batch = aws.client("batch")
    policy = batch.create_scheduling_policy(name="fair", fairsharePolicy={})["arn"]
    environment = batch.describe_compute_environments()["computeEnvironments"][0]["computeEnvironmentArn"]
    batch.create_job_queue(
        jobQueueName="shared",
        state="ENABLED",
        priority=1,
        schedulingPolicyArn=policy,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": environment}],
    )
    definition = register_definition(aws, ["true"])
    good = {"jobName": "x", "jobQueue": "shared", "jobDefinition": definition}
    assert "required" in refusal(batch.submit_job, **good)
    job_id = batch.submit_job(**good, shareIdentifier="team", schedulingPriorityOverride=3)["jobId"]
    job = wait_for(aws, job_id)
    assert (job["shareIdentifier"], job["schedulingPriority"]) == ("team", 3)


def test_three_hundred_short_jobs_all_succeed(aws):
    queue = create_queue(aws, "wide", vcpus=16)
    definition = register_definition(aws, ["true"])
    with ThreadPoolExecutor(8) as pool:
        ids = list(
            pool.map(lambda n: submit(aws, queue, None, f"job-{n}", definition=definition), range(300))
        )
    batch, deadline = aws.client("batch"), time.monotonic() + 120
    while aws.alive()["batch"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    jobs = [
        job for start in (0, 100, 200) for job in batch.describe_jobs(jobs=ids[start : start + 100])["jobs"]
    ]
    assert len(jobs) == 300
    assert {job["status"] for job in jobs} == {"SUCCEEDED"}
