"""Who may do what: every right is there that a role needs, and the ones beside it are not."""

import json

import pytest

from hpo_tasks.trial import layout
from hpo_tasks.trial.layout import AttemptKey, SlotKey
from tests.infra.policies import allows, as_list, statements
from tests.infra.rendering import ACCOUNT, BUCKET, REGION, Rendered

RENDERED = Rendered(InputArns="arn:aws:s3:::my-data/prices/*")
POLICY_NAMES = sorted({name for name, _ in RENDERED.all_documents()})
MAX_POLICY_CHARS = 6144
"""Of a managed policy, white space not counted."""

NOTHING_FINER = {
    "ImagePullPolicy": {"ecr:GetAuthorizationToken"},
    "SageMakerRole": {"cloudwatch:PutMetricData"},
    "StorePolicy": {
        "pricing:GetProducts",
        "ec2:DescribeSpotPriceHistory",
        "servicequotas:GetServiceQuota",
        "servicequotas:ListServiceQuotas",
    },
    "BatchPolicy": {
        "batch:ListJobs",
        "batch:DescribeJobs",
        "batch:DescribeJobQueues",
        "batch:DescribeComputeEnvironments",
        "batch:DescribeJobDefinitions",
    },
    "Ec2Policy": {
        "ec2:DescribeInstances",
        "ec2:DescribeInstanceStatus",
        "ec2:DescribeInstanceTypes",
        "ec2:DescribeLaunchTemplates",
        "ec2:DescribeLaunchTemplateVersions",
        "ec2:DescribeSubnets",
        "ssm:DescribeInstanceInformation",
        "ssm:ListCommandInvocations",
        "ssm:GetCommandInvocation",
        "ssm:CancelCommand",
    },
    "SageMakerPolicy": {"sagemaker:ListTrainingJobs"},
    "ReaperPolicy": {
        "batch:ListJobs",
        "batch:DescribeJobs",
        "ec2:DescribeInstances",
        "sagemaker:ListTrainingJobs",
    },
}
"""Policy → actions that IAM lets nobody limit to a resource. To add one is a decision."""

CONTROL = ["StorePolicy", "InputsPolicy", "BatchPolicy", "Ec2Policy", "SageMakerPolicy"]
TRIALS = ["BatchTrialRole", "FleetRole", "SageMakerRole"]
STUDY = "abcdefghijklmnopqrstuvwxyz"
SLOT = SlotKey(STUDY, 3, 17)
ATTEMPT = AttemptKey(SLOT, 12)
ONCE = {"s3:if-none-match": "*"}
OURS = {"aws:ResourceTag/hpo:deployment": "prod"}
NEW = {"aws:RequestTag/hpo:deployment": "prod"}


def arn(key: str) -> str:
    return f"arn:aws:s3:::{BUCKET}/hpo/{key}"


def aws(service: str, resource: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:{service}:{REGION}:{account}:{resource}"


def may(names, action, resource, context=None) -> bool:
    """Whether somebody with these policies or this role may do it; the bucket's own policy holds for all."""
    documents = RENDERED.policy(*([names] if isinstance(names, str) else names), "BucketPolicy")
    return allows(documents, action, resource, {"aws:SecureTransport": True} | (context or {}))


# ------------------------------------------------------------------- rules for all policies


@pytest.mark.parametrize("name", POLICY_NAMES)
def test_no_allowed_action_is_a_wildcard(name):
    documents = [document for owner, document in RENDERED.all_documents() if owner == name]
    actions = [
        action
        for statement in statements(documents)
        if statement["Effect"] == "Allow"
        for action in as_list(statement["Action"])
    ]
    assert [action for action in actions if "*" in action or "?" in action] == []


@pytest.mark.parametrize("name", POLICY_NAMES)
def test_a_wildcard_as_resource_stands_only_where_aws_knows_nothing_finer(name):
    documents = [document for owner, document in RENDERED.all_documents() if owner == name]
    wild = [each for each in statements(documents) if "*" in as_list(each["Resource"])]
    assert all(each["Sid"].startswith("NothingFiner") for each in wild)
    found = {action for each in wild for action in as_list(each["Action"])}
    assert found == NOTHING_FINER.get(name, set())


def test_roles_are_only_handed_over_one_by_one_and_to_their_service():
    handed = [
        (set(as_list(each["Resource"])), each["Condition"]["StringEquals"]["iam:PassedToService"])
        for _, document in RENDERED.all_documents()
        for each in statements([document])
        if "iam:PassRole" in as_list(each["Action"])
    ]

    def role(name):
        return f"arn:aws:iam::{ACCOUNT}:role/hpo-prod-{name}-{REGION}"

    assert sorted(handed, key=lambda each: each[1]) == [
        ({role("fleet")}, "ec2.amazonaws.com"),
        ({role("batch-trial"), role("execution")}, "ecs-tasks.amazonaws.com"),
        ({role("sagemaker")}, "sagemaker.amazonaws.com"),
    ]


def test_nobody_changes_identities():
    actions = {
        action
        for _, document in RENDERED.all_documents()
        for each in statements([document])
        if each["Effect"] == "Allow"
        for action in as_list(each["Action"])
    }
    assert {action for action in actions if action.startswith(("iam:", "sts:"))} == {"iam:PassRole"}


@pytest.mark.parametrize("name", list(RENDERED.of_type("AWS::IAM::Role")))
def test_a_role_trusts_one_service_and_nobody_else(name):
    (statement,) = RENDERED.resources[name]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert list(statement["Principal"]) == ["Service"]
    assert isinstance(statement["Principal"]["Service"], str)
    if statement["Principal"]["Service"] != "ec2.amazonaws.com":  # which names no account
        assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


def test_policies_of_aws_are_those_of_the_agents_alone():
    attached = {
        arn
        for role in RENDERED.of_type("AWS::IAM::Role").values()
        for arn in role["ManagedPolicyArns"]
        if ":aws:policy/" in arn
    }
    assert attached == {
        "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role",
        "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore",
    }


def test_managed_policies_fit_iams_limit_even_with_long_names():
    long = Rendered(
        Prefix="p" * 12, Deployment="d" * 20, InputArns=",".join(["arn:aws:s3:::b/" + "x" * 90] * 5)
    )
    for name, properties in long.of_type("AWS::IAM::ManagedPolicy").items():
        text = "".join(json.dumps(properties["PolicyDocument"]).split())
        assert len(text) <= MAX_POLICY_CHARS, name


# ------------------------------------------------------------------- trials


READ = [
    ATTEMPT.request,
    SLOT.outcome,
    ATTEMPT.started,
    SLOT.stop,
    layout.study_stop_key(STUDY),
    layout.code_key(STUDY),
    AttemptKey(SLOT, 11).checkpoint_list,
    f"{AttemptKey(SLOT, 11).checkpoint}deep/state.bin",
]
CREATED = [SLOT.outcome, ATTEMPT.started, ATTEMPT.report]
WRITTEN = [
    ATTEMPT.log,
    ATTEMPT.reports,
    f"{ATTEMPT.model}model.json",
    f"{ATTEMPT.model}deep/started.json",
    ATTEMPT.checkpoint_list,
    f"{ATTEMPT.checkpoint}state.bin",
]
CONTROLS_OWN = [
    layout.spec_key(STUDY, 1),
    layout.study_stop_key(STUDY),
    layout.batch_key(STUDY, 3),
    layout.summary_key(STUDY),
    layout.announced_key(STUDY),
    layout.code_key(STUDY),
    f"{layout.best_prefix(STUDY)}model.json",
    f"{layout.study_prefix(STUDY)}report.html",
    SLOT.stop,
    ATTEMPT.request,
    ATTEMPT.host,
]
"""What tells trials what to do, or people what came out."""


@pytest.mark.parametrize("role", TRIALS)
@pytest.mark.parametrize("key", READ)
def test_a_trial_reads_what_the_runner_reads(role, key):
    assert may(role, "s3:GetObject", arn(key))


@pytest.mark.parametrize("role", TRIALS)
@pytest.mark.parametrize("key", CREATED)
def test_a_trial_creates_its_markers_and_never_replaces_one(role, key):
    assert may(role, "s3:PutObject", arn(key), ONCE)
    assert not may(role, "s3:PutObject", arn(key))
    assert not may(role, "s3:PutObject", arn(key), {"s3:if-match": '"etag"'})


@pytest.mark.parametrize("role", TRIALS)
@pytest.mark.parametrize("key", WRITTEN)
def test_a_trial_writes_its_files(role, key):
    assert may(role, "s3:PutObject", arn(key))
    assert may(role, "s3:AbortMultipartUpload", arn(key))


@pytest.mark.parametrize("role", TRIALS)
@pytest.mark.parametrize("key", CONTROLS_OWN)
def test_a_trial_cannot_write_what_belongs_to_the_control_plane(role, key):
    assert not may(role, "s3:PutObject", arn(key))
    assert not may(role, "s3:PutObject", arn(key), ONCE)


@pytest.mark.parametrize("role", TRIALS)
def test_a_trial_lists_and_deletes_nothing_of_studies(role):
    assert not may(role, "s3:DeleteObject", arn(SLOT.outcome))
    for prefix in (None, "", "hpo/", "hpo/studies/", f"hpo/studies/{STUDY}/"):
        context = {} if prefix is None else {"s3:prefix": prefix}
        assert not may(role, "s3:ListBucket", f"arn:aws:s3:::{BUCKET}", context)


@pytest.mark.parametrize("role", TRIALS)
def test_a_trial_stays_below_studies_but_for_its_inputs(role):
    for key in ("best/dag.json", "probe/x", "studies"):
        assert not may(role, "s3:GetObject", arn(key))
        assert not may(role, "s3:PutObject", arn(key), ONCE)
    assert not may(role, "s3:GetObject", f"arn:aws:s3:::{BUCKET}/other/studies/a")
    assert may(role, "s3:GetObject", "arn:aws:s3:::my-data/prices/2026-01-01/train.parquet")
    assert not may(role, "s3:GetObject", "arn:aws:s3:::my-data/salaries.csv")
    assert not may(role, "s3:PutObject", "arn:aws:s3:::my-data/prices/2026-01-01/train.parquet", ONCE)


def test_without_input_arns_there_is_nothing_outside_of_the_bucket():
    documents = Rendered().policy("BatchTrialRole")
    assert not allows(documents, "s3:GetObject", "arn:aws:s3:::my-data/prices/x")
    assert allows(documents, "s3:GetObject", arn(ATTEMPT.request))


@pytest.mark.parametrize("role", TRIALS)
@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/admin"),
        ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/hpo-prod-fleet-{REGION}"),
        ("batch:SubmitJob", aws("batch", "job-queue/hpo-prod")),
        ("batch:TerminateJob", aws("batch", "job/1")),
        ("ec2:RunInstances", aws("ec2", "instance/*")),
        ("ec2:TerminateInstances", aws("ec2", "instance/i-1")),
        ("ssm:SendCommand", aws("ec2", "instance/i-1")),
        ("sagemaker:CreateTrainingJob", aws("sagemaker", "training-job/hpo-a-0-0-1")),
        ("secretsmanager:GetSecretValue", aws("secretsmanager", "secret:hpo/prod/key-AbCdEf")),
    ],
)
def test_a_trial_starts_and_ends_nothing(role, action, resource):
    assert not may(role, action, resource, NEW | OURS)


# ------------------------------------------------------------------- the control plane


def test_the_control_plane_reads_inputs_where_it_is_told():
    resource = "arn:aws:s3:::my-data/prices/x"
    assert may(CONTROL, "s3:GetObject", resource)
    assert not allows(Rendered().policy("StorePolicy"), "s3:GetObject", resource)


def test_the_control_plane_keeps_the_whole_store_but_replaces_no_outcome():
    for key in [*READ, *CREATED, *WRITTEN, *CONTROLS_OWN, "best/dag.json", "probe/x/once"]:
        assert may(CONTROL, "s3:GetObject", arn(key))
        assert may(CONTROL, "s3:DeleteObject", arn(key))
        assert may(CONTROL, "s3:PutObject", arn(key), ONCE)
        assert may(CONTROL, "s3:PutObject", arn(key)) is (key != SLOT.outcome)
    assert may(CONTROL, "s3:ListBucket", f"arn:aws:s3:::{BUCKET}")
    assert not may(CONTROL, "s3:GetObject", f"arn:aws:s3:::{BUCKET}/elsewhere/x")
    assert not may(CONTROL, "s3:DeleteBucket", f"arn:aws:s3:::{BUCKET}")


def test_nothing_is_read_without_tls():
    context = {"aws:SecureTransport": False}
    assert not may(CONTROL, "s3:GetObject", arn(SLOT.outcome), context)
    assert not may("BatchTrialRole", "s3:GetObject", arn(SLOT.outcome), context)


def test_jobs_are_submitted_to_our_queue_with_our_definitions_and_our_tag():
    queue, other = aws("batch", "job-queue/hpo-prod"), aws("batch", "job-queue/hpo-dev")
    for resource in (
        queue,
        aws("batch", "job-definition/hpo-prod_trial"),
        aws("batch", "job-definition/hpo-prod_x:7"),
    ):
        assert may(CONTROL, "batch:SubmitJob", resource, NEW)
        assert not may(CONTROL, "batch:SubmitJob", resource)
        assert not may(CONTROL, "batch:SubmitJob", resource, {"aws:RequestTag/hpo:deployment": "dev"})
    assert not may(CONTROL, "batch:SubmitJob", other, NEW)
    for name in ("admin:1", "hpo-dev_trial:1", "hpo-prod-eu_trial:1"):
        assert not may(CONTROL, "batch:SubmitJob", aws("batch", f"job-definition/{name}"), NEW)


def test_no_job_definition_is_registered_that_is_privileged_or_root():
    definition = aws("batch", "job-definition/hpo-prod_x")
    new = NEW | {"batch:User": "50000:0"}
    assert may(CONTROL, "batch:RegisterJobDefinition", definition, new)
    assert may(CONTROL, "batch:RegisterJobDefinition", definition, new | {"batch:Privileged": False})
    assert not may(CONTROL, "batch:RegisterJobDefinition", definition, new | {"batch:Privileged": True})
    assert not may(CONTROL, "batch:RegisterJobDefinition", definition, new | {"batch:User": "root"})
    assert not may(CONTROL, "batch:RegisterJobDefinition", definition, NEW)


@pytest.mark.parametrize("names", [CONTROL, "ReaperPolicy"], ids=["control plane", "reaper"])
@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("batch:TerminateJob", aws("batch", "job/1")),
        ("batch:CancelJob", aws("batch", "job/1")),
        ("ec2:TerminateInstances", aws("ec2", "instance/i-1")),
        ("sagemaker:StopTrainingJob", aws("sagemaker", "training-job/hpo-a-0-0-1")),
    ],
)
def test_only_what_carries_our_tag_is_ended(names, action, resource):
    assert may(names, action, resource, OURS)
    assert not may(names, action, resource)
    assert not may(names, action, resource, {"aws:ResourceTag/hpo:deployment": "dev"})


TEMPLATE = aws("ec2", "launch-template/FleetLaunchTemplate-id")
LAUNCH = {
    "ec2:LaunchTemplate": TEMPLATE,
    "ec2:InstanceType": "m5.large",
    "ec2:IsLaunchTemplateResource": True,
}


@pytest.mark.parametrize(
    "resource",
    [
        aws("ec2", "instance/*"),
        aws("ec2", "volume/*"),
        aws("ec2", "subnet/subnet-1"),
        aws("ec2", "network-interface/*"),
        aws("ec2", "security-group/TrialSecurityGroup-GroupId"),
        aws("ec2", "spot-instances-request/*"),
        aws("ec2", "image/ami-1", account=""),
        TEMPLATE,
    ],
)
def test_instances_start_from_our_launch_template_alone(resource):
    assert may(CONTROL, "ec2:RunInstances", resource, LAUNCH | NEW)
    other = LAUNCH | NEW | {"ec2:LaunchTemplate": aws("ec2", "launch-template/lt-other")}
    assert not may(CONTROL, "ec2:RunInstances", resource, other)
    without = {key: value for key, value in (LAUNCH | NEW).items() if key != "ec2:LaunchTemplate"}
    assert not may(CONTROL, "ec2:RunInstances", resource, without)


def test_an_instance_has_our_tag_and_a_type_from_the_list():
    instance = aws("ec2", "instance/*")
    assert not may(CONTROL, "ec2:RunInstances", instance, LAUNCH)
    assert not may(CONTROL, "ec2:RunInstances", instance, LAUNCH | NEW | {"ec2:InstanceType": "p5.48xlarge"})


def test_image_and_security_group_cannot_be_overridden():
    own = LAUNCH | NEW | {"ec2:IsLaunchTemplateResource": False}
    assert not may(CONTROL, "ec2:RunInstances", aws("ec2", "image/ami-evil", account=""), own)
    assert not may(CONTROL, "ec2:RunInstances", aws("ec2", "security-group/sg-open"), LAUNCH | NEW)


def test_tags_are_set_at_the_start_and_later_only_the_end_of_life():
    instance = aws("ec2", "instance/i-1")
    assert may(CONTROL, "ec2:CreateTags", instance, {"ec2:CreateAction": "RunInstances"})
    assert may(CONTROL, "ec2:CreateTags", instance, OURS | {"aws:TagKeys": ["hpo:expires_at"]})
    assert not may(CONTROL, "ec2:CreateTags", instance, OURS | {"aws:TagKeys": ["hpo:deployment"]})
    assert not may(CONTROL, "ec2:CreateTags", instance, OURS)
    assert not may(CONTROL, "ec2:CreateTags", instance, {"aws:TagKeys": ["hpo:expires_at"]})


def test_commands_run_on_our_instances_by_the_shell_document_alone():
    ours = {"ssm:resourceTag/hpo:deployment": "prod"}
    assert may(CONTROL, "ssm:SendCommand", aws("ec2", "instance/i-1"), ours)
    assert not may(CONTROL, "ssm:SendCommand", aws("ec2", "instance/i-1"))
    assert may(CONTROL, "ssm:SendCommand", aws("ssm", "document/AWS-RunShellScript", account=""))
    assert not may(CONTROL, "ssm:SendCommand", aws("ssm", "document/AWS-RunRemoteScript", account=""))


TRAINING = {"sagemaker:InstanceTypes": ["ml.m5.large"], "sagemaker:MaxRuntimeInSeconds": 3600}


@pytest.mark.parametrize(
    ("change", "allowed"),
    [
        ({}, True),
        ({"sagemaker:InstanceTypes": ["ml.p5.48xlarge"]}, False),
        ({"sagemaker:MaxRuntimeInSeconds": 86401}, False),
        ({"aws:RequestTag/hpo:deployment": "dev"}, False),
    ],
)
def test_training_jobs_are_of_a_listed_type_end_in_time_and_carry_our_tag(change, allowed):
    job = aws("sagemaker", "training-job/" + ATTEMPT.job_name)
    assert may(CONTROL, "sagemaker:CreateTrainingJob", job, NEW | TRAINING | change) is allowed
    assert not may(CONTROL, "sagemaker:CreateTrainingJob", aws("sagemaker", "training-job/x"), NEW | TRAINING)


@pytest.mark.parametrize(
    ("role", "service"),
    [
        ("batch-trial", "ecs-tasks.amazonaws.com"),
        ("execution", "ecs-tasks.amazonaws.com"),
        ("fleet", "ec2.amazonaws.com"),
        ("sagemaker", "sagemaker.amazonaws.com"),
    ],
)
def test_a_role_goes_to_its_service_and_no_other(role, service):
    resource = f"arn:aws:iam::{ACCOUNT}:role/hpo-prod-{role}-{REGION}"
    assert may(CONTROL, "iam:PassRole", resource, {"iam:PassedToService": service})
    assert not may(CONTROL, "iam:PassRole", resource, {"iam:PassedToService": "lambda.amazonaws.com"})
    assert not may(CONTROL, "iam:PassRole", resource)
    assert not may(
        CONTROL, "iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/admin", {"iam:PassedToService": service}
    )


# ------------------------------------------------------------------- everybody else


@pytest.mark.parametrize("name", ["ReaperPolicy", "PagePolicy"])
def test_reaper_and_page_write_nothing_and_start_nothing(name):
    for action in ("s3:PutObject", "s3:DeleteObject"):
        assert not may(name, action, arn(SLOT.outcome), ONCE)
    assert not may(name, "batch:SubmitJob", aws("batch", "job-queue/hpo-prod"), NEW)
    assert not may(name, "ec2:RunInstances", aws("ec2", "instance/*"), LAUNCH | NEW)
    assert not may(
        name, "sagemaker:CreateTrainingJob", aws("sagemaker", "training-job/hpo-a"), NEW | TRAINING
    )


def test_the_page_reads_and_lists_the_store_and_ends_nothing():
    assert may("PagePolicy", "s3:GetObject", arn(SLOT.outcome))
    assert may("PagePolicy", "s3:ListBucket", f"arn:aws:s3:::{BUCKET}")
    assert not may("PagePolicy", "batch:TerminateJob", aws("batch", "job/1"), OURS)
    assert not may("PagePolicy", "ec2:TerminateInstances", aws("ec2", "instance/i-1"), OURS)


def test_secrets_are_the_execution_roles_and_of_this_deployment():
    for name, allowed in (("hpo/prod/key-AbCdEf", True), ("hpo/dev/key-AbCdEf", False)):
        secret = aws("secretsmanager", f"secret:{name}")
        assert may("BatchExecutionRole", "secretsmanager:GetSecretValue", secret) is allowed
