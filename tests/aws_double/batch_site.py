"""What a Batch job needs before it can be submitted: network, roles, compute environment, queue, definition."""

import json
import time
from collections.abc import Sequence
from typing import Any

from aws_double.batch_jobs import ENDED
from aws_double.double import AwsDouble

TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole"}]}


def create_queue(
    aws: AwsDouble,
    name: str = "trials",
    *,
    vcpus: int = 64,
    spot: bool = False,
    instance_type: str = "m5.large",
) -> str:
    """Make a job queue on a compute environment of its own; the queue's name."""
    iam, ec2, batch = aws.client("iam"), aws.client("ec2"), aws.client("batch")
    role = iam.create_role(RoleName=f"{name}-role", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    profile = iam.create_instance_profile(InstanceProfileName=f"{name}-profile")["InstanceProfile"]["Arn"]
    iam.add_role_to_instance_profile(InstanceProfileName=f"{name}-profile", RoleName=f"{name}-role")
    subnet = ec2.describe_subnets()["Subnets"][0]
    groups = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [subnet["VpcId"]]}])
    environment = batch.create_compute_environment(
        computeEnvironmentName=f"{name}-machines",
        type="MANAGED",
        state="ENABLED",
        serviceRole=role,
        computeResources={
            "type": "SPOT" if spot else "EC2",
            "minvCpus": 0,
            "maxvCpus": vcpus,
            "desiredvCpus": 0,
            "instanceTypes": [instance_type],
            "instanceRole": profile,
            "subnets": [subnet["SubnetId"]],
            "securityGroupIds": [groups["SecurityGroups"][0]["GroupId"]],
        },
    )["computeEnvironmentArn"]
    order = [{"order": 1, "computeEnvironment": environment}]
    batch.create_job_queue(jobQueueName=name, state="ENABLED", priority=1, computeEnvironmentOrder=order)
    return name


def register_definition(
    aws: AwsDouble, command: Sequence[str], name: str = "trial", *, image: str = "trial:1", **properties: Any
) -> str:
    """Register a job definition with one vCPU; "name:revision"."""
    reply = aws.client("batch").register_job_definition(
        jobDefinitionName=name,
        type="container",
        containerProperties={
            "image": image,
            "command": list(command),
            "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "512"}],
        },
        **properties,
    )
    return f"{reply['jobDefinitionName']}:{reply['revision']}"


def describe(aws: AwsDouble, job_id: str) -> dict[str, Any]:
    """A job as DescribeJobs shows it."""
    return aws.client("batch").describe_jobs(jobs=[job_id])["jobs"][0]


def wait_for(aws: AwsDouble, job_id: str, *statuses: str, timeout_s: float = 30) -> dict[str, Any]:
    """Wait until a job has one of these statuses (none: until it is over); the job.

    Raises:
        TimeoutError: it has not in time.
    """
    wanted = set(statuses) or ENDED
    deadline = time.monotonic() + timeout_s
    while (job := describe(aws, job_id))["status"] not in wanted:
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"job {job['jobName']} is {job['status']} after {timeout_s} s, not {sorted(wanted)}"
            )
        time.sleep(0.02)
    return job


def log_lines(aws: AwsDouble, job: dict[str, Any]) -> list[str]:
    """What a job's last attempt has printed."""
    events = aws.client("logs").get_log_events(
        logGroupName="/aws/batch/job", logStreamName=job["container"]["logStreamName"], startFromHead=True
    )
    return [event["message"] for event in events["events"]]
