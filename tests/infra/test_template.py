"""The template itself: valid, small enough, tagged, and hardened; moto is not asked (test_deploy.py does that)."""

import json
import re

import pytest
import yaml
from cfnlint.api import ManualArgs, lint
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from hpo_tasks.infra import stack
from hpo_tasks.infra.fragment import fragment
from hpo_tasks.spec.model import BatchBackend
from hpo_tasks.trial.runner import locate
from tests.infra.rendering import REGION, ROOT, TEMPLATE, Rendered, template

MAX_BODY_BYTES = 51_200
"""Of a template that is handed over in the call, not through a bucket."""
SCHEMA = PROVIDER_SCHEMA_MANAGER.get_resource_schema
UNTAGGED = {"AWS::S3::BucketPolicy", "AWS::IAM::InstanceProfile", "AWS::IAM::ManagedPolicy"}
"""Types that take no tags of their own; the ones of the stack reach what AWS lets them reach."""


def findings(text: str) -> list[str]:
    config = ManualArgs(regions=["us-east-1", REGION], include_checks=["I"])
    return [f"{match.linenumber}: {match.rule.id} {match.message}" for match in lint(text, config=config)]


def test_cfn_lint_finds_nothing():
    assert findings(TEMPLATE.read_text()) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("SPOT_PRICE_CAPACITY_OPTIMIZED", "CHEAPEST"),
        ("AttemptDurationSeconds", "AttemptDuration"),
        ("!Ref BatchLaunchTemplate", "!Ref BatchLaunchTemplat"),
        ("HttpTokens: required", "HttpTokens: maybe"),
    ],
)
def test_cfn_lint_finds_mistakes_where_moto_looks_away(right, wrong):
    assert findings(TEMPLATE.read_text().replace(right, wrong)) != []


def test_the_package_holds_the_template_and_the_checkout_links_to_it():
    assert TEMPLATE.resolve() == (ROOT / "hpo_tasks" / "infra" / "hpo.yaml").resolve()
    assert TEMPLATE.read_text() == stack.template_body()
    assert len(stack.template_body().encode()) <= MAX_BODY_BYTES


def test_every_resource_that_can_have_a_tag_names_its_deployment():
    for name, resource in Rendered(FairShare="true").resources.items():
        properties = resource["Properties"]
        if resource["Type"] in UNTAGGED:
            assert "Tags" not in SCHEMA(REGION, resource["Type"]).schema["properties"], name
            continue
        tags = properties.get("Tags") or properties["TagSpecifications"][0]["Tags"]
        pairs = tags if isinstance(tags, dict) else {each["Key"]: each["Value"] for each in tags}
        assert pairs["hpo:deployment"] == "prod", name


@pytest.mark.parametrize("name", ["SpotEnvironment", "OnDemandEnvironment"])
def test_instances_of_batch_carry_the_deployment_too(name):
    resources = Rendered().resources[name]["Properties"]["ComputeResources"]
    assert resources["Tags"]["hpo:deployment"] == "prod"


def test_names_begin_with_prefix_and_deployment_and_fit_where_they_must():
    long = Rendered(Prefix="p" * 12, Deployment="d" * 20)
    limits = {
        "AWS::S3::Bucket": 63,
        "AWS::IAM::Role": 64,
        "AWS::IAM::ManagedPolicy": 128,
        "AWS::IAM::InstanceProfile": 128,
    }
    for name, resource in long.resources.items():
        given = [
            value
            for key, value in resource["Properties"].items()
            if key in {"Name", "GroupName"} or (key.endswith("Name") and isinstance(value, str))
        ]
        for value in given:
            assert value.startswith((f"{'p' * 12}-{'d' * 20}", f"/{'p' * 12}/{'d' * 20}")), name
            assert len(value) <= limits.get(resource["Type"], 128), name
            if resource["Type"].startswith("AWS::IAM::"):
                assert value.endswith(REGION), name  # IAM's names are unique in all regions together


def test_the_bucket_is_private_keeps_no_versions_and_cleans_up():
    bucket = Rendered().resources["Bucket"]["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert "VersioningConfiguration" not in bucket
    rules = {rule["Id"]: rule for rule in bucket["LifecycleConfiguration"]["Rules"]}
    assert rules["parts-of-killed-uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 2}
    expiring = {rule["Prefix"] for rule in rules.values() if "ExpirationInDays" in rule}
    assert expiring == {"hpo/probe/", "hpo/scratch/"}  # never studies/ or best/


@pytest.mark.parametrize("name", ["BatchLaunchTemplate", "FleetLaunchTemplate"])
def test_instances_answer_metadata_version_2_to_themselves_alone_and_encrypt_their_disk(name):
    data = Rendered().resources[name]["Properties"]["LaunchTemplateData"]
    options = data["MetadataOptions"]
    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 1)
    assert [each["Ebs"]["Encrypted"] for each in data["BlockDeviceMappings"]] == [True]


def test_a_job_that_is_not_root_cannot_reach_the_metadata_of_its_host():
    """Batch's containers share the host's network: the hop limit alone would not keep them away."""
    user_data = Rendered().resources["BatchLaunchTemplate"]["Properties"]["LaunchTemplateData"]["UserData"]
    assert "iptables -I OUTPUT -d 169.254.169.254 -m owner ! --uid-owner root -j REJECT" in user_data
    assert "ECS_DISABLE_PRIVILEGED=true" in user_data


def test_an_instance_of_the_fleet_sets_its_end_before_anything_else_and_then_is_gone():
    data = Rendered(FleetLifeMinutes="45").resources["FleetLaunchTemplate"]["Properties"][
        "LaunchTemplateData"
    ]
    assert data["UserData"].splitlines()[:2] == ["#!/bin/bash", "shutdown -P +45"]
    assert data["InstanceInitiatedShutdownBehavior"] == "terminate"


def test_nobody_reaches_the_machines_and_they_reach_https_alone():
    group = Rendered().resources["TrialSecurityGroup"]["Properties"]
    assert "SecurityGroupIngress" not in group
    assert [(rule["FromPort"], rule["ToPort"]) for rule in group["SecurityGroupEgress"]] == [(443, 443)]


def test_spot_comes_first_and_on_demand_is_left_out_when_it_may_have_nothing():
    def order(**parameters):
        queue = Rendered(**parameters).resources["JobQueue"]["Properties"]
        return [each["ComputeEnvironment"] for each in queue["ComputeEnvironmentOrder"]]

    assert order() == ["hpo-prod-spot", "hpo-prod-on-demand"]
    assert order(OnDemandMaxvCpus="0") == ["hpo-prod-spot"]
    assert "OnDemandEnvironment" not in Rendered(OnDemandMaxvCpus="0").resources


def test_a_fair_share_is_optional():
    assert "SchedulingPolicyArn" not in Rendered().resources["JobQueue"]["Properties"]
    assert "SchedulingPolicyArn" in Rendered(FairShare="true").resources["JobQueue"]["Properties"]


def test_outputs_name_what_the_resources_are_called():
    rendered = Rendered()
    outputs = rendered.outputs
    assert outputs["Store"] == f"s3://{rendered.resources['Bucket']['Properties']['BucketName']}/hpo"
    assert outputs["JobQueue"] == rendered.resources["JobQueue"]["Properties"]["JobQueueName"]
    assert outputs["JobDefinition"] == rendered.resources["JobDefinition"]["Properties"]["JobDefinitionName"]
    assert len(outputs["ControlPlanePolicyArns"].split(",")) == 4


def test_the_policies_to_attach_include_that_of_the_inputs_when_there_are_some():
    with_inputs = Rendered(InputArns="arn:aws:s3:::my-data/*").outputs
    assert f"#   {with_inputs['InputsPolicyArn']}\n" in fragment(with_inputs)
    assert "InputsPolicyArn" not in Rendered().outputs


def test_the_fragment_is_what_a_study_file_takes():
    outputs = Rendered().outputs
    pasted = yaml.safe_load(fragment(outputs))
    assert pasted == {
        "store": outputs["Store"],
        "backend": {"type": "batch", "slots": 8, "job_queue": "hpo-prod", "job_definition": "hpo-prod_trial"},
    }
    assert BatchBackend(**pasted["backend"]).job_queue == outputs["JobQueue"]


# ------------------------------------------------------------------- the job definition, field by field


def job_problems(properties: dict) -> list[str]:
    """What a rendered job definition has that lets a hostile job out, or lacks that keeps it in."""
    container = properties["ContainerProperties"]
    linux = container.get("LinuxParameters", {})
    rules = {
        "runs as root": not re.fullmatch(r"[1-9]\d*(:\d+)?", str(container.get("User", ""))),
        "is privileged": container.get("Privileged", False) is not False,
        "can write its root": container.get("ReadonlyRootFilesystem") is not True,
        "sees a folder of the host": any("Host" in each for each in container.get("Volumes", ())),
        "has a device": bool(linux.get("Devices")),
        "has setuid or devices in its scratch": not linux.get("Tmpfs")
        or any(not {"nosuid", "nodev"} <= set(each.get("MountOptions", ())) for each in linux["Tmpfs"]),
        "has no limits": {"VCPU", "MEMORY"} - {each["Type"] for each in container["ResourceRequirements"]},
        "never ends": int(properties.get("Timeout", {}).get("AttemptDurationSeconds", 0)) < 60,
        "has a shell": container["Command"][0] in {"sh", "bash", "/bin/sh", "/bin/bash"},
        "has no role": not container.get("JobRoleArn"),
        "logs to nobody": "awslogs-group" not in container.get("LogConfiguration", {}).get("Options", {}),
        "hides its tags": properties.get("PropagateTags") is not True,
        "carries an environment": container.get("Environment", []) != [],
    }
    return [rule for rule, broken in rules.items() if broken]


def test_the_job_definition_lets_nothing_out():
    definitions = Rendered().of_type("AWS::Batch::JobDefinition")
    assert {name: job_problems(each) for name, each in definitions.items()} == {"JobDefinition": []}


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (["User"], "root", "runs as root"),
        (["User"], "0:0", "runs as root"),
        (["User"], None, "runs as root"),
        (["Privileged"], True, "is privileged"),
        (["ReadonlyRootFilesystem"], False, "can write its root"),
        (["Volumes"], [{"Host": {"SourcePath": "/var/run/docker.sock"}}], "sees a folder of the host"),
        (["LinuxParameters", "Devices"], [{"HostPath": "/dev/sda"}], "has a device"),
        (["LinuxParameters", "Tmpfs"], [], "has setuid or devices in its scratch"),
        (["ResourceRequirements"], [{"Type": "VCPU", "Value": "1"}], "has no limits"),
        (["Command"], ["sh", "-c", "python -m hpo_tasks.trial Ref::request"], "has a shell"),
        (["JobRoleArn"], None, "has no role"),
    ],
)
def test_the_check_of_job_definitions_sees_each_hole(path, value, problem):
    properties = Rendered().resources["JobDefinition"]["Properties"]
    target = properties["ContainerProperties"]
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    assert job_problems(properties) == [problem]


def test_batch_repeats_lost_hosts_alone():
    strategy = Rendered().resources["JobDefinition"]["Properties"]["RetryStrategy"]
    assert strategy["EvaluateOnExit"] == [
        {"OnStatusReason": "Host EC2*", "Action": "RETRY"},
        {"OnReason": "*", "Action": "EXIT"},
    ]


def test_the_command_starts_the_runner_with_the_request_whatever_the_image():
    """Batch hands the command to the image's entrypoint, if it has one: ours must not."""
    definition = Rendered().resources["JobDefinition"]["Properties"]
    assert definition["ContainerProperties"]["Command"] == ["python", "-m", "hpo_tasks.trial", "Ref::request"]
    assert definition["Parameters"] == {"request": "none"}
    image = (ROOT / "docker" / "trial.Dockerfile").read_text()
    assert not re.search(r"^ENTRYPOINT (?!\[\])", image, re.MULTILINE)
    assert f"USER {definition['ContainerProperties']['User']}" in image


def test_logs_go_to_a_group_of_the_deployment_that_forgets():
    rendered = Rendered(LogDays="7")
    group = rendered.resources["LogGroup"]["Properties"]
    options = rendered.resources["JobDefinition"]["Properties"]["ContainerProperties"]["LogConfiguration"][
        "Options"
    ]
    assert group["LogGroupName"] == options["awslogs-group"] == "/hpo/prod"
    assert int(group["RetentionInDays"]) == 7


def test_every_parameter_is_described_and_those_without_a_default_are_few():
    parameters = template()["Parameters"]
    assert all(each.get("Description") for each in parameters.values())
    needed = {name for name, each in parameters.items() if "Default" not in each}
    assert needed == {"Deployment", "VpcId", "SubnetIds", "Image"}


def test_a_rendered_template_holds_no_function_any_more():
    assert "Fn::" not in json.dumps(Rendered().resources)


def test_the_store_leads_the_runner_to_a_request():
    uri = f"{Rendered().outputs['Store']}/studies/abc/000/0001/a1/request.json"
    objects, key = locate(uri)
    assert (objects.uri, key.job_name) == (Rendered().outputs["Store"], "hpo-abc-0-1-1")
