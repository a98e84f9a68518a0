"""EC2: instances run their user data, end by themselves, and are taken away."""

import base64
import json
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError

from aws_double.ec2_site import IMAGE, instance, run_instances, wait_for_state, wait_online, wait_until


def error_of(call, *arguments, **parameters):
    with pytest.raises(ClientError) as caught:
        call(*arguments, **parameters)
    return caught.value.response["Error"]["Code"]


def console(aws, instance_id):
    return aws.inject("ec2/console", instanceId=instance_id).splitlines()


def get(url, method="GET", **headers):
    request = urllib.request.Request(url, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_user_data_runs_once_the_instance_does(aws):
    (instance_id,) = run_instances(
        aws, "#!/bin/sh\necho booted as $(id -un); echo $AWS_EC2_METADATA_SERVICE_ENDPOINT\n"
    )
    wait_for_state(aws, instance_id, "running")
    lines = wait_until(lambda: len(console(aws, instance_id)) == 2 and console(aws, instance_id))
    assert lines[1] == f"{aws.endpoint}/imds/{instance_id}"


def test_a_service_that_user_data_leaves_behind_goes_on_until_the_instance_ends(aws, tmp_path):
    beat = tmp_path / "beat"
    (instance_id,) = run_instances(aws, f"#!/bin/sh\n(while :; do date +%N > {beat}; sleep 0.05; done) &\n")
    wait_until(beat.exists)
    first = beat.read_text()
    wait_until(lambda: beat.read_text() != first)
    aws.client("ec2").terminate_instances(InstanceIds=[instance_id])
    assert instance(aws, instance_id)["State"]["Name"] == "terminated"
    assert aws.alive()["ec2"] == []
    wait_until(lambda: _is_still(beat))


def _is_still(file):
    before = file.stat().st_mtime_ns
    try:
        wait_until(lambda: file.stat().st_mtime_ns != before, timeout_s=0.5)
    except TimeoutError:
        return True
    return False


@pytest.mark.parametrize(("behavior", "end"), [("terminate", "terminated"), ("stop", "stopped")])
def test_an_instance_shuts_itself_down_and_then_ends_or_stops(aws, behavior, end):
    aws.inject("config", clock=600)
    (instance_id,) = run_instances(
        aws, "#!/bin/sh\nshutdown -P +5\n", InstanceInitiatedShutdownBehavior=behavior
    )
    ended = wait_for_state(aws, instance_id, end)
    assert ended["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"


def test_a_later_shutdown_takes_the_place_of_an_earlier_one_and_c_cancels_it(aws):
    aws.inject("config", clock=600)
    terminate = {"InstanceInitiatedShutdownBehavior": "terminate"}
    renewed, cancelled = (
        run_instances(aws, f"#!/bin/sh\nshutdown -P +10\nshutdown {after}\necho done\n", **terminate)[0]
        for after in ("-P +100000", "-c")
    )
    (short,) = run_instances(aws, "#!/bin/sh\nshutdown -P +20\n", **terminate)
    wait_for_state(aws, short, "terminated")
    for kept in (renewed, cancelled):
        wait_until(lambda kept=kept: "done" in console(aws, kept))
        assert instance(aws, kept)["State"]["Name"] == "running"


def test_poweroff_ends_an_instance_at_once(aws):
    (instance_id,) = run_instances(
        aws, "#!/bin/sh\npoweroff\n", InstanceInitiatedShutdownBehavior="terminate"
    )
    wait_for_state(aws, instance_id, "terminated")


def test_a_client_token_starts_instances_once(aws):
    first = run_instances(aws, ClientToken="study-1", MaxCount=2)
    assert run_instances(aws, ClientToken="study-1", MaxCount=2) == first
    assert len(first) == 2
    assert len(aws.alive()["ec2"]) == 2
    assert error_of(run_instances, aws, ClientToken="study-1", MaxCount=3) == "IdempotentParameterMismatch"


def test_as_many_start_as_there_is_capacity_and_none_below_the_least(aws):
    aws.inject("ec2/capacity", **{"m5.large": 3, "spot:m5.xlarge": 0})
    assert len(run_instances(aws, MinCount=1, MaxCount=2)) == 2
    assert len(run_instances(aws, MinCount=1, MaxCount=2)) == 1
    assert error_of(run_instances, aws) == "InsufficientInstanceCapacity"
    spot = {"InstanceType": "m5.xlarge", "InstanceMarketOptions": {"MarketType": "spot"}}
    assert error_of(run_instances, aws, **spot) == "InsufficientInstanceCapacity"
    assert len(run_instances(aws, InstanceType="m5.xlarge")) == 1


def test_an_instance_type_that_does_not_exist_is_refused(aws):
    assert error_of(run_instances, aws, InstanceType="m5.huge") == "InvalidInstanceType.NotFound"


def test_a_launch_template_gives_type_user_data_market_and_shutdown_behavior(aws):
    aws.client("ec2").create_launch_template(
        LaunchTemplateName="fleet",
        LaunchTemplateData={
            "ImageId": IMAGE,
            "InstanceType": "c5.xlarge",
            "UserData": base64.b64encode(b"#!/bin/sh\necho from template\n").decode(),
            "InstanceInitiatedShutdownBehavior": "terminate",
            "InstanceMarketOptions": {"MarketType": "spot"},
            "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "study", "Value": "s1"}]}],
        },
    )
    reply = aws.client("ec2").run_instances(
        MinCount=1, MaxCount=1, LaunchTemplate={"LaunchTemplateName": "fleet"}
    )
    instance_id = reply["Instances"][0]["InstanceId"]
    shown = instance(aws, instance_id)
    assert (shown["InstanceType"], shown["InstanceLifecycle"]) == ("c5.xlarge", "spot")
    assert {"Key": "study", "Value": "s1"} in shown["Tags"]
    wait_for_state(aws, instance_id, "running")
    wait_until(lambda: console(aws, instance_id) == ["from template"])


def test_a_spot_interruption_is_announced_on_the_instance_and_then_ends_it(aws):
    (instance_id,) = run_instances(aws, InstanceMarketOptions={"MarketType": "spot"})
    wait_for_state(aws, instance_id, "running")
    metadata = f"{aws.endpoint}/imds/{instance_id}/latest/meta-data"
    assert get(f"{metadata}/instance-life-cycle") == (200, "spot")
    assert get(f"{metadata}/spot/instance-action")[0] == 404
    aws.inject("ec2/interrupt", instanceId=instance_id, notice=0.5)
    status, text = get(f"{metadata}/spot/instance-action")
    assert (status, json.loads(text)["action"]) == (200, "terminate")
    ended = wait_for_state(aws, instance_id, "terminated")
    assert ended["StateReason"]["Code"] == "Server.SpotInstanceTermination"
    assert get(f"{metadata}/instance-id")[0] == 404


def test_metadata_asks_for_a_token_where_the_instance_says_so(aws):
    (instance_id,) = run_instances(aws, MetadataOptions={"HttpTokens": "required"})
    base = f"{aws.endpoint}/imds/{instance_id}/latest"
    assert get(f"{base}/meta-data/instance-id")[0] == 401
    status, token = get(f"{base}/api/token", "PUT", **{"X-aws-ec2-metadata-token-ttl-seconds": "60"})
    assert status == 200
    assert get(f"{base}/meta-data/instance-id", **{"X-aws-ec2-metadata-token": token}) == (200, instance_id)
    assert get(f"{base}/meta-data/instance-id", **{"X-aws-ec2-metadata-token": "made-up"})[0] == 401


def test_a_lost_host_is_gone_while_ec2_may_still_call_it_running(aws):
    (instance_id,) = run_instances(aws)
    wait_online(aws, instance_id)
    aws.inject("ec2/lose", instanceId=instance_id, state="running")
    assert instance(aws, instance_id)["State"]["Name"] == "running"
    assert aws.client("ssm").describe_instance_information()["InstanceInformationList"] == []


def test_a_storm_takes_spot_instances_only(aws):
    aws.inject("storm", service="ec2", share=1.0, within_s=0.1, notice_s=0)
    (spot,) = run_instances(aws, InstanceMarketOptions={"MarketType": "spot"})
    (on_demand,) = run_instances(aws)
    wait_for_state(aws, spot, "terminated")
    assert instance(aws, on_demand)["State"]["Name"] == "running"


def test_a_reset_ends_what_runs(aws, tmp_path):
    beat = tmp_path / "beat"
    run_instances(aws, f"#!/bin/sh\nwhile :; do touch {beat}; sleep 0.05; done\n")
    wait_until(beat.exists)
    aws.reset()
    assert not any(aws.alive().values())
    assert _is_still(beat)
