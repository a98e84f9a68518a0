"""The stack of the template: created or updated, read, deleted. Clients are handed in."""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from botocore import exceptions as boto

from hpo_tasks.errors import HpoError, InputError, RefusedError, UnavailableError

CAPABILITIES = ("CAPABILITY_NAMED_IAM",)
_DEAD_ENDS = {
    "ROLLBACK_COMPLETE": "its creation failed",
    "ROLLBACK_FAILED": "its creation failed",
    "CREATE_FAILED": "its creation failed",
    "DELETE_FAILED": "its deletion failed",
}
_CONSEQUENCES = ("Resource creation cancelled", "Resource update cancelled")
"""Reasons of resources that failed only because another one had."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack as CloudFormation describes it.

    Attributes:
        name: its name.
        state: CloudFormation's StackStatus.
        parameters, outputs: name → value.
    """

    name: str
    state: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]


def template_body() -> str:
    """The template's text."""
    return files("hpo_tasks.infra").joinpath("hpo.yaml").read_text(encoding="utf-8")


def stack_name(prefix: str, deployment: str) -> str:
    return f"{prefix}-{deployment}"


def read_stack(cloudformation: Any, name: str) -> Stack | None:
    """The stack of that name, None if there is none.

    Raises:
        UnavailableError, RefusedError: as `aws_errors`.
    """
    try:
        with aws_errors("DescribeStacks"):
            found = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except RefusedError as error:
        if _is_code(error, "ValidationError"):  # CloudFormation's way to say "does not exist"
            return None
        raise
    return Stack(
        name=name,
        state=found["StackStatus"],
        parameters={each["ParameterKey"]: each["ParameterValue"] for each in found.get("Parameters", ())},
        outputs={each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", ())},
    )


def deploy(
    cloudformation: Any, name: str, values: Mapping[str, str], *, progress: Callable[[str], None]
) -> Stack:
    """Create the stack, or update it; what `values` leaves out keeps its value. Returns when it is done.

    Args:
        cloudformation: a boto3 client.
        name: of the stack.
        values: parameters of the template.
        progress: told what is happening, one line at a time.

    Raises:
        InputError: an unknown parameter, or one without a value.
        RefusedError: CloudFormation refuses or fails; says which resource and why.
        UnavailableError: as `aws_errors`.
    """
    before = read_stack(cloudformation, name)
    if before is not None and before.state in _DEAD_ENDS:
        raise RefusedError(
            f"stack {name} is in state {before.state}: {_DEAD_ENDS[before.state]}. Remove it first: hpo infra destroy"
        )
    body = template_body()
    with aws_errors("GetTemplateSummary"):
        known = cloudformation.get_template_summary(TemplateBody=body)["Parameters"]
    request = {
        "StackName": name,
        "TemplateBody": body,
        "Capabilities": list(CAPABILITIES),
        "Parameters": stack_parameters(known, values, before),
        "Tags": [{"Key": "hpo:deployment", "Value": values["Deployment"]}],
    }
    if before is None:
        progress(f"creating stack {name}: some minutes")
        with aws_errors("CreateStack"):
            cloudformation.create_stack(**request)
        _wait(cloudformation, name, "stack_create_complete")
    else:
        progress(f"updating stack {name}")
        if _update(cloudformation, request):
            _wait(cloudformation, name, "stack_update_complete")
        else:
            progress("nothing has changed")
    after = read_stack(cloudformation, name)
    if after is None:
        raise RefusedError(f"stack {name} was deleted meanwhile")
    return after


def stack_parameters(
    known: Sequence[Mapping[str, Any]], values: Mapping[str, str], before: Stack | None
) -> list[dict[str, Any]]:
    """Parameters of CreateStack or UpdateStack. Pure.

    Args:
        known: what GetTemplateSummary says of the template's parameters.
        values: the given ones.
        before: the stack as it is.

    Raises:
        InputError: an unknown parameter, or one that has neither a value nor a default.
    """
    defaults = {each["ParameterKey"]: each.get("DefaultValue") for each in known}
    for key in values:
        if key not in defaults:
            near = difflib.get_close_matches(key, defaults, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(defaults))}"
            raise InputError(f"--set {key}: the template has no such parameter; {hint}")
    kept = before.parameters if before else {}
    missing = [
        key for key, default in defaults.items() if default is None and key not in values and key not in kept
    ]
    if missing:
        raise InputError(
            f"a new stack needs {', '.join(missing)}: --vpc, --subnet, --image, or --set NAME=VALUE"
        )
    return [
        {"ParameterKey": key, "ParameterValue": values[key]}
        if key in values
        else {"ParameterKey": key, "UsePreviousValue": True}
        for key in defaults
        if key in values or key in kept
    ]


def destroy(cloudformation: Any, name: str, *, progress: Callable[[str], None]) -> None:
    """Delete the stack and everything in it. Returns when it is gone.

    Raises:
        RefusedError: CloudFormation could not delete a resource; says which and why.
        UnavailableError: as `aws_errors`.
    """
    progress(f"deleting stack {name}: some minutes")
    with aws_errors("DeleteStack"):
        cloudformation.delete_stack(StackName=name)
    _wait(cloudformation, name, "stack_delete_complete")


@contextmanager
def aws_errors(operation: str) -> Iterator[None]:
    """Turn boto3's exceptions into the project's.

    Raises:
        UnavailableError: no answer, or throttled.
        RefusedError: anything else; `__cause__` is boto3's.
    """
    try:
        yield
    except boto.ClientError as error:
        details = error.response.get("Error", {})
        code, status = details.get("Code", ""), error.response["ResponseMetadata"]["HTTPStatusCode"]
        kind = UnavailableError if status >= 500 or code.startswith("Throttling") else RefusedError
        raise kind(f"{operation}: {code}: {details.get('Message', '')}") from error
    except (boto.NoCredentialsError, boto.PartialCredentialsError, boto.NoRegionError) as error:
        raise RefusedError(
            f"{operation}: {error}: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_DEFAULT_REGION"
        ) from error
    except (boto.ConnectionError, boto.HTTPClientError) as error:
        raise UnavailableError(f"{operation}: AWS does not answer: {error}") from error
    except boto.BotoCoreError as error:
        raise RefusedError(f"{operation}: {error}") from error


def _update(cloudformation: Any, request: Mapping[str, Any]) -> bool:
    """Start an update; False if there is nothing to update."""
    try:
        with aws_errors("UpdateStack"):
            cloudformation.update_stack(**request)
    except RefusedError as error:
        if "No updates are to be performed" in str(error):
            return False
        raise
    return True


def _wait(cloudformation: Any, name: str, what: str) -> None:
    try:
        with aws_errors("DescribeStacks"):
            cloudformation.get_waiter(what).wait(StackName=name)
    except HpoError as error:
        if isinstance(error.__cause__, boto.WaiterError):
            raise RefusedError(_failure(cloudformation, name)) from error
        raise


def _failure(cloudformation: Any, name: str) -> str:
    """What went wrong, oldest first, without what merely followed from it."""
    with aws_errors("DescribeStackEvents"):
        events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    reasons = [
        f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', event['ResourceStatus'])}"
        for event in reversed(events)
        if event["ResourceStatus"].endswith("_FAILED")
        and not event.get("ResourceStatusReason", "").startswith(_CONSEQUENCES)
    ]
    return "\n".join([f"stack {name} failed:", *(reasons or ["its events name no reason; see the console"])])


def _is_code(error: HpoError, code: str) -> bool:
    cause = error.__cause__
    return isinstance(cause, boto.ClientError) and cause.response.get("Error", {}).get("Code") == code
