"""SSM Run Command: scripts run on instances, and SSM is believed no more than on AWS."""

import pytest
from botocore.exceptions import ClientError

from aws_double.ec2_site import run_instances, wait_online, wait_until


@pytest.fixture
def instance_id(aws):
    (started,) = run_instances(aws)
    wait_online(aws, started)
    return started


def send(aws, instance_ids, *commands, parameters=None, **options):
    reply = aws.client("ssm").send_command(
        InstanceIds=instance_ids,
        DocumentName="AWS-RunShellScript",
        Parameters={"commands": list(commands), **(parameters or {})},
        **options,
    )
    return reply["Command"]["CommandId"]


def invocation(aws, command_id, instance_id):
    return aws.client("ssm").get_command_invocation(CommandId=command_id, InstanceId=instance_id)


def wait_for(aws, command_id, instance_id, *statuses):
    wanted = statuses or ("Success", "Failed", "TimedOut", "Cancelled")
    wait_until(lambda: invocation(aws, command_id, instance_id)["Status"] in wanted)
    return invocation(aws, command_id, instance_id)


def error_of(call, *arguments, **parameters):
    with pytest.raises(ClientError) as caught:
        call(*arguments, **parameters)
    return caught.value.response["Error"]["Code"]


def test_a_command_runs_and_its_output_and_code_come_back(aws, instance_id):
    command_id = send(aws, [instance_id], "echo one", "echo problem >&2", "echo two")
    done = wait_for(aws, command_id, instance_id)
    assert (done["Status"], done["ResponseCode"]) == ("Success", 0)
    assert done["StandardOutputContent"] == "one\ntwo"
    assert done["StandardErrorContent"] == "problem\n"


def test_a_failing_command_fails_with_its_exit_code(aws, instance_id):
    done = wait_for(aws, send(aws, [instance_id], "exit 4"), instance_id)
    assert (done["Status"], done["ResponseCode"]) == ("Failed", 4)


def test_commands_on_one_instance_see_one_another_and_its_services(aws, instance_id, tmp_path):
    beat = tmp_path / "beat"
    started = send(
        aws, [instance_id], f"nohup sh -c 'while :; do touch {beat}; sleep 0.05; done' >/dev/null 2>&1 &"
    )
    assert wait_for(aws, started, instance_id)["Status"] == "Success"
    seen = wait_for(aws, send(aws, [instance_id], "cat /proc/1/comm"), instance_id)
    assert seen["StandardOutputContent"] == "sleep"


def test_the_working_directory_is_the_one_asked_for(aws, instance_id, tmp_path):
    done = wait_for(
        aws, send(aws, [instance_id], "pwd", parameters={"workingDirectory": [str(tmp_path)]}), instance_id
    )
    assert done["StandardOutputContent"] == str(tmp_path)


def test_a_command_over_its_time_is_killed(aws, instance_id):
    aws.inject("config", clock=100)
    command_id = send(aws, [instance_id], "sleep 100", parameters={"executionTimeout": ["30"]})
    done = wait_for(aws, command_id, instance_id)
    assert (done["Status"], done["StatusDetails"]) == ("TimedOut", "ExecutionTimedOut")


def test_a_cancelled_command_is_killed_with_what_it_started(aws, instance_id, tmp_path):
    beat = tmp_path / "beat"
    command_id = send(aws, [instance_id], f"sh -c 'while :; do touch {beat}; sleep 0.05; done'", "true")
    wait_until(beat.exists)
    aws.client("ssm").cancel_command(CommandId=command_id)
    assert wait_for(aws, command_id, instance_id)["Status"] == "Cancelled"
    beat.unlink(missing_ok=True)
    with pytest.raises(TimeoutError):
        wait_until(beat.exists, timeout_s=0.4)


def test_a_command_on_a_lost_host_stays_in_progress_until_it_expires(aws, instance_id):
    command_id = send(
        aws, [instance_id], "sleep 100", TimeoutSeconds=30, parameters={"executionTimeout": ["60"]}
    )
    wait_for(aws, command_id, instance_id, "InProgress")
    aws.inject("ec2/interrupt", instanceId=instance_id)
    wait_until(lambda: aws.alive()["ec2"] == [])
    assert invocation(aws, command_id, instance_id)["Status"] == "InProgress"


def test_an_expired_command_is_timed_out_in_delivery(aws, instance_id):
    aws.inject("config", clock=60)
    command_id = send(
        aws, [instance_id], "sleep 100", TimeoutSeconds=30, parameters={"executionTimeout": ["30"]}
    )
    wait_for(aws, command_id, instance_id, "InProgress")
    aws.inject("ec2/lose", instanceId=instance_id, state="running")
    done = wait_for(aws, command_id, instance_id)
    assert (done["Status"], done["StatusDetails"]) == ("TimedOut", "DeliveryTimedOut")


def test_a_command_goes_to_the_instances_asked_for_only(aws, instance_id):
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "study", "Value": "s1"}]}]
    (tagged,) = run_instances(aws, TagSpecifications=tags)
    wait_online(aws, tagged)
    reply = aws.client("ssm").send_command(
        Targets=[{"Key": "tag:study", "Values": ["s1"]}],
        DocumentName="AWS-RunShellScript",
        Parameters={"commands": ["true"]},
    )
    command_id = reply["Command"]["CommandId"]
    wait_for(aws, command_id, tagged)
    listed = aws.client("ssm").list_command_invocations(CommandId=command_id, Details=True)[
        "CommandInvocations"
    ]
    assert [each["InstanceId"] for each in listed] == [tagged]
    assert listed[0]["CommandPlugins"][0]["ResponseCode"] == 0
    assert error_of(invocation, aws, command_id, instance_id) == "InvocationDoesNotExist"


def test_instances_that_do_not_run_are_refused(aws, instance_id):
    aws.client("ec2").terminate_instances(InstanceIds=[instance_id])
    assert error_of(send, aws, [instance_id], "true") == "InvalidInstanceId"
    assert error_of(send, aws, ["i-00000000000000000"], "true") == "InvalidInstanceId"


def test_output_goes_to_s3_and_to_the_log_where_asked(aws, instance_id):
    bucket = aws.new_bucket()
    command_id = send(
        aws,
        [instance_id],
        "echo hello",
        OutputS3BucketName=bucket,
        OutputS3KeyPrefix="ssm",
        CloudWatchOutputConfig={"CloudWatchOutputEnabled": True, "CloudWatchLogGroupName": "trials"},
    )
    wait_for(aws, command_id, instance_id)
    key = f"ssm/{command_id}/{instance_id}/awsrunShellScript/0.awsrunShellScript/stdout"
    wait_until(lambda: "Contents" in aws.client("s3").list_objects_v2(Bucket=bucket))
    assert aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read() == b"hello"
    stream = f"{command_id}/{instance_id}/aws-runShellScript/stdout"
    events = aws.client("logs").get_log_events(logGroupName="trials", logStreamName=stream)["events"]
    assert [event["message"] for event in events] == ["hello"]


def test_long_output_is_cut_at_24000_characters(aws, instance_id):
    done = wait_for(aws, send(aws, [instance_id], "head -c 30000 /dev/zero | tr '\\0' x"), instance_id)
    assert len(done["StandardOutputContent"]) == 24_000
    assert done["StandardOutputContent"].endswith("---Output truncated---")
