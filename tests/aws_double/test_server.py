"""The double as a server: S3, faults, the log of calls, and what it does not have."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from aws_double.double import ACCESS_KEY


def error_code(call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return caught.value.response["Error"]["Code"]


def test_s3_writes_an_object_once_however_many_race_for_it(aws):
    bucket, s3 = aws.new_bucket(), aws.client("s3")

    def put(number):
        try:
            s3.put_object(Bucket=bucket, Key="outcome.json", Body=str(number), IfNoneMatch="*")
        except ClientError as error:
            return error.response["Error"]["Code"]
        return number

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(put, range(16)))
    winners = [result for result in results if isinstance(result, int)]
    assert len(winners) == 1
    assert set(results) - set(winners) <= {"PreconditionFailed", "ConditionalRequestConflict"}
    assert s3.get_object(Bucket=bucket, Key="outcome.json")["Body"].read() == str(winners[0]).encode()


def test_a_large_object_with_an_odd_name_comes_back_whole(aws):
    bucket, s3 = aws.new_bucket(), aws.client("s3")
    content = bytes(range(256)) * 40_000
    s3.put_object(Bucket=bucket, Key="a b/ü+%41?.bin", Body=content, Metadata={"kind": "model"})
    reply = s3.get_object(Bucket=bucket, Key="a b/ü+%41?.bin")
    assert reply["Body"].read() == content
    assert reply["Metadata"] == {"kind": "model"}
    assert s3.head_object(Bucket=bucket, Key="a b/ü+%41?.bin")["ContentLength"] == len(content)


def test_an_object_in_several_parts_comes_back_whole(aws, tmp_path):
    bucket, s3 = aws.new_bucket(), aws.client("s3")
    (tmp_path / "model").write_bytes(bytes(range(256)) * 80_000)
    s3.upload_file(str(tmp_path / "model"), bucket, "model")
    s3.download_file(bucket, "model", str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "model").read_bytes()
    assert len(aws.calls("s3", "UploadPart")) > 1


def test_it_listens_on_this_machine_only(aws):
    listening = [c for c in psutil.Process(aws.pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert [c.laddr.ip for c in listening] == ["127.0.0.1"]


def test_a_connection_serves_many_requests(aws):
    host, port = aws.endpoint.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        for _ in range(3):
            connection.sendall(b"POST /_exec/alive HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_an_action_that_nobody_has_is_refused_clearly_in_every_protocol(aws):
    assert error_code(aws.client("batch").list_consumable_resources) == "NotImplemented"
    assert error_code(aws.client("batch").get_job_queue_snapshot, jobQueue="q") == "NotImplemented"
    assert error_code(aws.client("ec2").describe_spot_datafeed_subscription) == "NotImplemented"
    assert error_code(aws.client("ssm").describe_sessions, State="Active") == "NotImplemented"
    assert error_code(aws.client("gamelift").list_builds) == "NotImplemented"


def test_a_throttled_call_fails_as_often_as_asked_and_works_again(aws):
    aws.inject(
        "faults", service="batch", action="describejobs", code="TooManyRequestsException", status=429, count=2
    )
    batch = aws.client("batch")
    assert error_code(batch.describe_jobs, jobs=[]) == "TooManyRequestsException"
    assert error_code(batch.describe_jobs, jobs=[]) == "TooManyRequestsException"
    assert batch.describe_jobs(jobs=[])["jobs"] == []


def test_a_client_that_retries_survives_throttling(aws):
    aws.inject(
        "faults", service="ec2", action="DescribeInstances", code="RequestLimitExceeded", status=503, count=2
    )
    assert aws.client("ec2", retries=3).describe_instances()["Reservations"] == []
    assert [call["status"] for call in aws.calls("ec2")] == [503, 503, 200]


def test_an_error_before_the_act_leaves_nothing_and_one_after_it_leaves_the_object(aws):
    bucket, s3 = aws.new_bucket(), aws.client("s3")
    aws.inject("faults", service="s3", action="PutObject", matching="before", code="InternalError", count=1)
    aws.inject("faults", service="s3", action="PutObject", matching="after", code="InternalError", after=True)
    assert error_code(s3.put_object, Bucket=bucket, Key="before", Body=b"1") == "InternalError"
    assert error_code(s3.put_object, Bucket=bucket, Key="after", Body=b"1") == "InternalError"
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["after"]


def test_a_lost_reply_breaks_the_connection_after_the_act(aws):
    bucket, s3 = aws.new_bucket(), aws.client("s3")
    aws.inject("faults", service="s3", action="PutObject", drop=True, after=True)
    with pytest.raises(ConnectionClosedError):
        s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"


def test_a_delayed_call_is_answered_late(aws):
    aws.inject("faults", service="sts", delay=0.3)
    started = time.monotonic()
    aws.client("sts").get_caller_identity()
    assert time.monotonic() - started >= 0.3


def test_the_log_names_who_called_what_about_which_object(aws):
    bucket = aws.new_bucket()
    aws.client("s3").put_object(Bucket=bucket, Key="a/b", Body=b"1")
    aws.client("ec2").describe_instances()
    aws.client("ssm").list_commands()
    calls = aws.calls()
    actions = [(call["service"], call["action"]) for call in calls]
    assert actions == [
        ("s3", "CreateBucket"),
        ("s3", "PutObject"),
        ("ec2", "DescribeInstances"),
        ("ssm", "ListCommands"),
    ]
    assert calls[1]["parameters"] == {"Bucket": bucket, "Key": "a/b"}
    assert {call["access_key"] for call in calls} == {ACCESS_KEY}
    assert aws.calls("s3", "put.*") == [calls[1]]


def test_a_reset_forgets_objects_faults_and_calls(aws):
    bucket = aws.new_bucket()
    aws.inject("faults", service="s3", code="SlowDown", count=None)
    aws.inject("config", grace=9, clock=5)
    aws.reset()
    assert aws.calls() == []
    assert error_code(aws.client("s3").head_bucket, Bucket=bucket) == "404"


def test_a_misspelt_injection_says_what_there_is(aws):
    with pytest.raises(ValueError, match="batch/interrupt"):
        aws.inject("batch/interupt", jobId="x")
    with pytest.raises(ValueError, match="list_lag_s"):
        aws.inject("config", list_lag=1)


def test_a_killed_double_starts_again_at_the_same_address_with_nothing_in_it(aws):
    endpoint = aws.endpoint
    aws.new_bucket()
    aws.kill()
    aws.reset()
    assert aws.endpoint == endpoint
    assert aws.client("s3").list_buckets()["Buckets"] == []
