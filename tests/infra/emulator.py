"""The template on moto: what moto needs beside the template, and what it leaves out."""

import uuid
from typing import Any

import boto3
import pytest
from s3_server import ACCESS_KEY, SECRET_KEY, S3Server

from hpo_tasks.infra import stack
from tests.infra.rendering import template

REGION = "us-east-1"
LEFT_OUT = {"AWS::S3::BucketPolicy", "AWS::Batch::SchedulingPolicy"}
"""Types that moto's CloudFormation passes over. Properties it passes over: a bucket's lifecycle and public access
block, policies attached to a role, a definition's timeout. For all of these
there are cfn-lint's schemas and the tests of the rendered template alone.
"""


class Emulator:
    """moto's server (all of its services, not S3 alone) with a network to deploy into."""

    def __init__(self, server: S3Server) -> None:
        self._server = server
        ec2 = self.client("ec2")
        self.vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        self.subnets = [each["SubnetId"] for each in ec2.describe_subnets()["Subnets"][:2]]

    def client(self, service: str) -> Any:
        return boto3.session.Session().client(
            service,
            endpoint_url=self._server.endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name=REGION,
        )

    def environment(self) -> dict[str, str]:
        return {**self._server.environment(), "AWS_DEFAULT_REGION": REGION}

    def values(self, **others: str) -> dict[str, str]:
        """Parameters of a deployment that no other test has: all of them, as moto forgets defaults in an update."""
        declared = template()["Parameters"].items()
        return {
            **{name: str(each["Default"]) for name, each in declared if "Default" in each},
            "Deployment": f"t{uuid.uuid4().hex[:8]}",
            "VpcId": self.vpc,
            "SubnetIds": ",".join(self.subnets),
            "Image": "trial:1",
            **others,
        }


def use_moto_template(patch: pytest.MonkeyPatch) -> None:
    """Let `hpo infra` deploy the template as moto takes it."""
    body = moto_template()
    patch.setattr(stack, "template_body", lambda: body)


def moto_template() -> str:
    """The template, with a service role for Batch: AWS takes its own linked role, moto wants one to be named."""
    body = stack.template_body()
    line = "      ReplaceComputeEnvironment: false\n"
    assert body.count(line) == 2
    return body.replace(line, f"{line}      ServiceRole: !GetAtt BatchHostRole.Arn\n")
