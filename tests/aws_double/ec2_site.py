"""What tests do with EC2 again and again."""

import time
from collections.abc import Callable
from typing import Any

from aws_double.double import AwsDouble

IMAGE = "ami-12c6146b"  # one that moto has from the start


def run_instances(aws: AwsDouble, user_data: str = "", **parameters: Any) -> list[str]:
    """Start instances (one m5.large, unless the parameters say otherwise); their ids."""
    asked = {"MinCount": 1, "MaxCount": 1, "InstanceType": "m5.large", "UserData": user_data, **parameters}
    if "ImageId" not in asked and "LaunchTemplate" not in asked:
        asked["ImageId"] = IMAGE
    return [each["InstanceId"] for each in aws.client("ec2").run_instances(**asked)["Instances"]]


def instance(aws: AwsDouble, instance_id: str) -> dict[str, Any]:
    """An instance as DescribeInstances shows it."""
    reply = aws.client("ec2").describe_instances(InstanceIds=[instance_id])
    return reply["Reservations"][0]["Instances"][0]


def wait_until(condition: Callable[[], Any], timeout_s: float = 20) -> Any:
    """Wait until a condition gives something true; that.

    Raises:
        TimeoutError: it does not in time.
    """
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout_s} s")
        time.sleep(0.02)
    return value


def wait_for_state(aws: AwsDouble, instance_id: str, state: str) -> dict[str, Any]:
    """Wait until an instance is in a state; the instance."""
    wait_until(lambda: instance(aws, instance_id)["State"]["Name"] == state)
    return instance(aws, instance_id)


def wait_online(aws: AwsDouble, *instance_ids: str) -> None:
    """Wait until commands can be sent to all of these instances."""

    def online() -> bool:
        listed = aws.client("ssm").describe_instance_information()["InstanceInformationList"]
        return set(instance_ids) <= {each["InstanceId"] for each in listed}

    wait_until(online)
