"""The template through CloudFormation's API, on moto: what moto implements is there as the template says."""

import json

import pytest

from hpo_tasks.errors import InputError
from hpo_tasks.infra import stack as stacks
from hpo_tasks.infra.remains import remains
from tests.infra.emulator import LEFT_OUT, use_moto_template
from tests.infra.rendering import Rendered, template

pytestmark = pytest.mark.usefixtures("moto_body")


def quiet(message: str) -> None:
    """Nobody is told."""


def deployed(emulator, **others):
    values = emulator.values(**others)
    name = stacks.stack_name("hpo", values["Deployment"])
    return stacks.deploy(emulator.client("cloudformation"), name, values, progress=quiet)


@pytest.fixture(scope="module")
def stack(emulator):
    with pytest.MonkeyPatch.context() as patch:
        use_moto_template(patch)
        return deployed(emulator)


def test_every_resource_that_moto_knows_is_created(emulator, stack):
    listed = emulator.client("cloudformation").list_stack_resources(StackName=stack.name)
    created = {each["LogicalResourceId"] for each in listed["StackResourceSummaries"]} - {""}
    expected = {
        name
        for name, each in template()["Resources"].items()
        if each["Type"] not in LEFT_OUT and each.get("Condition") not in {"HasFairShare", "HasInputs"}
    }
    assert created == expected
    assert stack.state == "CREATE_COMPLETE"


def test_the_outputs_lead_to_the_resources(emulator, stack):
    outputs = stack.outputs
    assert emulator.client("s3").head_bucket(Bucket=outputs["Bucket"])
    batch = emulator.client("batch")
    (queue,) = batch.describe_job_queues(jobQueues=[outputs["JobQueue"]])["jobQueues"]
    assert [each["order"] for each in queue["computeEnvironmentOrder"]] == [1, 2]
    assert "spot" in queue["computeEnvironmentOrder"][0]["computeEnvironment"]
    (definition,) = batch.describe_job_definitions(
        jobDefinitionName=outputs["JobDefinition"], status="ACTIVE"
    )["jobDefinitions"]
    container = definition["containerProperties"]
    assert container["command"] == ["python", "-m", "hpo_tasks.trial", "Ref::request"]
    assert container["jobRoleArn"] == outputs["BatchTrialRoleArn"]
    (launch,) = emulator.client("ec2").describe_launch_templates(
        LaunchTemplateIds=[outputs["LaunchTemplate"]]
    )["LaunchTemplates"]
    assert launch["LaunchTemplateName"] == f"{stack.name}-fleet"
    role = emulator.client("iam").get_role(RoleName=outputs["SageMakerRoleArn"].rpartition("/")[2])
    assert role["Role"]["Arn"] == outputs["SageMakerRoleArn"]


POLICIES = [
    name
    for name, each in template()["Resources"].items()
    if each["Type"] == "AWS::IAM::ManagedPolicy" and "Condition" not in each
]


@pytest.mark.parametrize("policy", POLICIES)
def test_policies_on_the_server_are_the_rendered_ones(emulator, stack, policy):
    """Two programs fill in the template: ours for the tests of policies, and moto."""
    mine = Rendered(Deployment=stack.outputs["Deployment"])
    iam = emulator.client("iam")
    arn = mine.arn(policy).replace("eu-west-1", "us-east-1")
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    served = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    rendered = json.dumps(mine.policy(policy)[0])
    made_up = {
        "FleetLaunchTemplate-id": stack.outputs["LaunchTemplate"],
        "TrialSecurityGroup-GroupId": stack.outputs["SecurityGroupId"],
        "eu-west-1": "us-east-1",
    }
    for ours, theirs in made_up.items():
        rendered = rendered.replace(ours, theirs)
    assert served == json.loads(rendered)


def test_an_update_keeps_what_is_not_named(emulator):
    before = deployed(emulator, MaxRuntimeSeconds="7200")
    cloudformation = emulator.client("cloudformation")
    values = {"Deployment": before.outputs["Deployment"], "LogDays": "7"}
    after = stacks.deploy(cloudformation, before.name, values, progress=quiet)
    assert after.state == "UPDATE_COMPLETE"
    assert after.parameters == {**before.parameters, "LogDays": "7"}
    assert after.outputs["Bucket"] == before.outputs["Bucket"]


def test_a_new_stack_needs_its_parameters_and_knows_no_others(emulator):
    values = emulator.values()
    del values["Image"]
    name = stacks.stack_name("hpo", values["Deployment"])
    cloudformation = emulator.client("cloudformation")
    with pytest.raises(InputError, match="needs Image"):
        stacks.deploy(cloudformation, name, values, progress=quiet)
    with pytest.raises(InputError, match=r"SpotMaxVcpus: .* did you mean SpotMaxvCpus"):
        stacks.deploy(cloudformation, name, emulator.values(SpotMaxVcpus="5"), progress=quiet)
    assert stacks.read_stack(cloudformation, name) is None


def test_an_empty_deployment_is_deleted_whole(emulator):
    stack = deployed(emulator)
    cloudformation = emulator.client("cloudformation")
    assert remains(emulator.client, stack) == []
    stacks.destroy(cloudformation, stack.name, progress=quiet)
    assert stacks.read_stack(cloudformation, stack.name) is None
    buckets = {each["Name"] for each in emulator.client("s3").list_buckets()["Buckets"]}
    assert stack.outputs["Bucket"] not in buckets


def test_whatever_is_in_use_is_named(emulator):
    stack = deployed(emulator)
    deployment = stack.outputs["Deployment"]
    emulator.client("s3").put_object(Bucket=stack.outputs["Bucket"], Key="hpo/best/x.json", Body=b"{}")
    tags = [{"Key": "hpo:deployment", "Value": deployment}]
    (instance,) = emulator.client("ec2").run_instances(
        ImageId="ami-12345678", MinCount=1, MaxCount=1, SubnetId=emulator.subnets[0],
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )["Instances"]  # fmt: skip
    problems = remains(emulator.client, stack)
    assert [sentence.split()[1] for sentence in problems] == ["instances", stack.outputs["Bucket"]]
    assert instance["InstanceId"] in problems[0]
    assert f"aws s3 rm --recursive s3://{stack.outputs['Bucket']}" in problems[1]


def test_a_machine_of_batch_and_another_deployments_instance_do_not_count(emulator):
    stack = deployed(emulator)
    run = emulator.client("ec2").run_instances
    for tags in (
        {"hpo:deployment": stack.outputs["Deployment"], "Name": f"{stack.name}-batch"},
        {"hpo:deployment": "another"},
    ):
        run(
            ImageId="ami-12345678", MinCount=1, MaxCount=1, SubnetId=emulator.subnets[0],
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}
            ],
        )  # fmt: skip
    assert remains(emulator.client, stack) == []
