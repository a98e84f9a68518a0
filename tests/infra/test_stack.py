"""The decisions of `hpo infra` that need no server, and what AWS says that moto never does."""

import boto3
import pytest
from botocore.stub import ANY, Stubber

from hpo_tasks.errors import InputError, RefusedError, UnavailableError
from hpo_tasks.infra import stack as stacks
from hpo_tasks.infra.remains import ALIVE, remains
from hpo_tasks.infra.stack import Stack, stack_parameters

KNOWN = [
    {"ParameterKey": "Deployment"},
    {"ParameterKey": "Image"},
    {"ParameterKey": "LogDays", "DefaultValue": "30"},
    {"ParameterKey": "InputArns", "DefaultValue": ""},
]


def client(service):
    return boto3.session.Session().client(
        service, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )


def described(state, **outputs):
    return {
        "Stacks": [
            {
                "StackName": "hpo-prod",
                "StackStatus": state,
                "CreationTime": "2026-01-01T00:00:00Z",
                "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()],
            }
        ]
    }


def test_a_new_stack_takes_the_templates_defaults():
    given = {"Deployment": "prod", "Image": "i"}
    assert stack_parameters(KNOWN, given, None) == [
        {"ParameterKey": "Deployment", "ParameterValue": "prod"},
        {"ParameterKey": "Image", "ParameterValue": "i"},
    ]


def test_an_update_keeps_values_and_forgets_parameters_that_the_template_has_lost():
    before = Stack("hpo-prod", "CREATE_COMPLETE", {"Deployment": "prod", "Image": "i", "Gone": "x"}, {})
    assert stack_parameters(KNOWN, {"LogDays": "7"}, before) == [
        {"ParameterKey": "Deployment", "UsePreviousValue": True},
        {"ParameterKey": "Image", "UsePreviousValue": True},
        {"ParameterKey": "LogDays", "ParameterValue": "7"},
    ]


def test_a_parameter_without_a_value_is_named():
    with pytest.raises(InputError, match=r"needs Image: --vpc, --subnet, --image"):
        stack_parameters(KNOWN, {"Deployment": "prod"}, None)


def test_a_stack_that_never_came_up_must_be_removed_first():
    cloudformation = client("cloudformation")
    with Stubber(cloudformation) as stub:
        stub.add_response("describe_stacks", described("ROLLBACK_COMPLETE"))
        with pytest.raises(RefusedError, match=r"creation failed.*hpo infra destroy"):
            stacks.deploy(cloudformation, "hpo-prod", {"Deployment": "prod"}, progress=print)


def test_nothing_to_update_is_no_error():
    cloudformation = client("cloudformation")
    said = []
    with Stubber(cloudformation) as stub:
        stub.add_response("describe_stacks", described("CREATE_COMPLETE", Deployment="prod"))
        stub.add_response("get_template_summary", {"Parameters": [{"ParameterKey": "Deployment"}]})
        stub.add_client_error("update_stack", "ValidationError", "No updates are to be performed.")
        stub.add_response("describe_stacks", described("CREATE_COMPLETE", Deployment="prod"))
        stack = stacks.deploy(cloudformation, "hpo-prod", {"Deployment": "prod"}, progress=said.append)
    assert stack.outputs == {"Deployment": "prod"}
    assert said[-1] == "nothing has changed"


def test_a_failure_names_the_resource_that_failed_first_and_not_those_that_followed():
    cloudformation = client("cloudformation")

    def event(resource, status, reason):
        return {
            "StackId": "s", "EventId": resource, "StackName": "hpo-prod", "Timestamp": "2026-01-01T00:00:00Z",
            "LogicalResourceId": resource, "ResourceStatus": status, "ResourceStatusReason": reason,
        }  # fmt: skip

    with Stubber(cloudformation) as stub:
        stub.add_client_error(
            "describe_stacks", "ValidationError", "Stack with id hpo-prod does not exist", 400
        )
        stub.add_response("get_template_summary", {"Parameters": [{"ParameterKey": "Deployment"}]})
        stub.add_response("create_stack", {"StackId": "s"}, None)
        stub.add_response("describe_stacks", described("ROLLBACK_COMPLETE"))
        events = [  # newest first, as CloudFormation lists them
            event("LogGroup", "CREATE_FAILED", "Resource creation cancelled"),
            event("Bucket", "CREATE_FAILED", "hpo-prod-1 already exists"),
            event("Bucket", "CREATE_IN_PROGRESS", ""),
        ]
        stub.add_response("describe_stack_events", {"StackEvents": events})
        with pytest.raises(RefusedError) as caught:
            stacks.deploy(cloudformation, "hpo-prod", {"Deployment": "prod"}, progress=print)
    assert str(caught.value) == "stack hpo-prod failed:\nBucket: hpo-prod-1 already exists"


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("AccessDenied", 403, RefusedError),
        ("Throttling", 400, UnavailableError),
        ("InternalFailure", 500, UnavailableError),
    ],
)
def test_what_aws_says_is_either_refused_or_for_later(code, status, kind):
    cloudformation = client("cloudformation")
    cloudformation.meta.events.register("needs-retry.*.*", lambda **_: None)
    with Stubber(cloudformation) as stub:
        stub.add_client_error("describe_stacks", code, "because", status)
        with pytest.raises(kind, match=f"DescribeStacks: {code}: because"):
            stacks.read_stack(cloudformation, "hpo-prod")


OUTPUTS = {"JobQueue": "hpo-prod", "Deployment": "prod", "Bucket": "hpo-prod-1"}


def test_jobs_that_have_not_ended_are_found_in_every_status():
    clients = {name: client(name) for name in ("batch", "sagemaker", "ec2", "s3")}
    stubs = {name: Stubber(each) for name, each in clients.items()}
    for number, status in enumerate(ALIVE):
        job = {"jobId": f"{number}", "jobName": f"hpo-a-0-{number}-1"}
        stubs["batch"].add_response(
            "list_jobs", {"jobSummaryList": [job]}, {"jobQueue": "hpo-prod", "jobStatus": status}
        )
    jobs = [
        {"TrainingJobName": name, "TrainingJobArn": f"arn:{name}", "CreationTime": 0, "TrainingJobStatus": "InProgress"}
        for name in ("hpo-a-0-0-1", "hpo-b-0-0-1")
    ]  # fmt: skip
    stubs["sagemaker"].add_response(
        "list_training_jobs",
        {"TrainingJobSummaries": jobs},
        {"NameContains": "hpo-", "StatusEquals": "InProgress"},
    )
    for deployment in ("dev", "prod"):
        stubs["sagemaker"].add_response(
            "list_tags", {"Tags": [{"Key": "hpo:deployment", "Value": deployment}]}, {"ResourceArn": ANY}
        )
    stubs["ec2"].add_response("describe_instances", {"Reservations": []})
    stubs["s3"].add_response("list_objects_v2", {"KeyCount": 0})
    for stub in stubs.values():
        stub.activate()
    problems = remains(clients.__getitem__, Stack("hpo-prod", "CREATE_COMPLETE", {}, OUTPUTS))
    assert problems == [
        "5 Batch jobs in queue hpo-prod have not ended, such as hpo-a-0-0-1: stop their studies",
        "1 SageMaker training jobs have not ended, such as hpo-b-0-0-1: stop their studies",
    ]
    for stub in stubs.values():
        stub.assert_no_pending_responses()


def test_a_stack_that_never_came_up_holds_nothing():
    def no_client(service):
        raise AssertionError(service)

    assert remains(no_client, Stack("hpo-prod", "ROLLBACK_COMPLETE", {}, {})) == []
