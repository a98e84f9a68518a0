"""`hpo infra`: the AWS resources of a deployment."""

from collections.abc import Sequence
from typing import Any

import boto3
import typer

from hpo_tasks.cli.terminal import print_json, say
from hpo_tasks.errors import InputError, RefusedError
from hpo_tasks.infra import stack as stacks
from hpo_tasks.infra.fragment import fragment
from hpo_tasks.infra.remains import remains


def deploy(prefix: str, deployment: str, values: dict[str, str], *, as_json: bool) -> None:
    """Create or update the deployment's stack; print what a study file needs.

    Raises:
        InputError: an unknown or missing parameter.
        UnavailableError, RefusedError: what AWS says.
    """
    name = stacks.stack_name(prefix, deployment)
    given = {**values, "Prefix": prefix, "Deployment": deployment}
    _print(stacks.deploy(_client("cloudformation"), name, given, progress=say), as_json=as_json)


def show(prefix: str, deployment: str, *, as_json: bool) -> None:
    """Print what a study file needs of the deployment's stack.

    Raises:
        InputError: there is no such stack.
        UnavailableError, RefusedError: what AWS says; or the stack has not been created yet.
    """
    _print(_existing(prefix, deployment), as_json=as_json)


def destroy(prefix: str, deployment: str) -> None:
    """Delete the deployment's stack, unless something of it is in use.

    Raises:
        InputError: there is no such stack.
        RefusedError: jobs run, instances are alive, or the bucket holds something; or what AWS says.
        UnavailableError: AWS does not answer.
    """
    stack = _existing(prefix, deployment)
    if found := remains(_client, stack):
        raise RefusedError("\n".join([f"stack {stack.name} is in use; nothing was deleted:", *found]))
    stacks.destroy(_client("cloudformation"), stack.name, progress=say)


def parameters(
    pairs: Sequence[str], *, vpc: str | None, subnets: Sequence[str], image: str | None
) -> dict[str, str]:
    """Values of the template's parameters from the options of `hpo infra deploy`.

    Raises:
        InputError: a pair that is no NAME=VALUE.
    """
    values: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise InputError(f"--set {pair}: write NAME=VALUE, such as SpotMaxvCpus=512")
        if key in {"Prefix", "Deployment"}:
            raise InputError(f"--set {key}: name it as --prefix, and the deployment as the argument")
        values[key] = value
    named = {"VpcId": vpc, "SubnetIds": ",".join(subnets) or None, "Image": image}
    return values | {key: value for key, value in named.items() if value is not None}


def _existing(prefix: str, deployment: str) -> stacks.Stack:
    name = stacks.stack_name(prefix, deployment)
    stack = stacks.read_stack(_client("cloudformation"), name)
    if stack is None:
        raise InputError(
            f"no stack {name} in this account and region: hpo infra deploy {deployment} makes it"
        )
    return stack


def _print(stack: stacks.Stack, *, as_json: bool) -> None:
    if not stack.outputs:
        raise RefusedError(f"stack {stack.name} is in state {stack.state} and has no outputs")
    if as_json:
        print_json({"stack": stack.name, "state": stack.state, "outputs": dict(stack.outputs)})
    else:
        typer.echo(fragment(stack.outputs))


def _client(service: str) -> Any:
    """A client with what the environment says of account and region."""
    with stacks.aws_errors(service):
        return boto3.session.Session().client(service)
