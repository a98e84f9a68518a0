"""What AWS Batch would refuse, asked before anything is started."""

from collections.abc import Mapping
from typing import Any

from hpo_tasks.backends.aws_errors import BOTO_ERRORS, explain
from hpo_tasks.errors import Problem, RefusedError
from hpo_tasks.spec.model import BatchBackend as Options
from hpo_tasks.spec.model import Resources

QUEUE = "backend.job_queue"
DEFINITION = "backend.job_definition"


def preflight(client: Any, options: Options, resources: Resources) -> list[Problem]:
    """Everything that keeps jobs of this study from running, one problem each; empty if nothing does.

    Raises:
        UnavailableError: Batch does not answer.
    """
    try:
        return [*_queue_problems(client, options, resources), *_definition_problems(client, options)]
    except BOTO_ERRORS as error:
        explained = explain(error, "Batch")
        if isinstance(explained, RefusedError):
            return [Problem("backend", str(explained))]
        raise explained from None


def _queue_problems(client: Any, options: Options, resources: Resources) -> list[Problem]:
    queues = client.describe_job_queues(jobQueues=[options.job_queue])["jobQueues"]
    if not queues:
        return [
            Problem(QUEUE, f"there is no job queue `{options.job_queue}` in region {client.meta.region_name}")
        ]
    queue = queues[0]
    if message := _unusable("the job queue", queue):
        return [Problem(QUEUE, message)]
    if queue.get("schedulingPolicyArn") and not options.share_identifier:
        return [Problem("backend.share_identifier", "missing: the queue has a fair-share policy")]
    return _capacity_problems(client, queue, resources)


def _capacity_problems(client: Any, queue: Mapping[str, Any], resources: Resources) -> list[Problem]:
    names = [each["computeEnvironment"] for each in queue.get("computeEnvironmentOrder", ())]
    if not names:
        return []
    found = client.describe_compute_environments(computeEnvironments=names)["computeEnvironments"]
    usable = [each for each in found if not _unusable("", each)]
    if not usable:
        why = "; ".join(
            _unusable(f"compute environment `{each['computeEnvironmentName']}`", each) for each in found
        )
        return [Problem(QUEUE, f"no compute environment of it can run a job: {why or 'none exists'}")]
    most = max((each.get("computeResources") or {}).get("maxvCpus", resources.threads) for each in usable)
    if resources.threads > most:
        message = (
            f"asks for {resources.threads} vCPUs, and the queue's compute environments have at most {most}"
        )
        return [Problem("trial.resources.threads", message)]
    return []


def _definition_problems(client: Any, options: Options) -> list[Problem]:
    named = options.job_definition
    if named.startswith("arn:"):
        found = client.describe_job_definitions(jobDefinitions=[named])["jobDefinitions"]
    else:
        name, _, revision = named.partition(":")
        found = [each for each in _active(client, name) if revision in ("", str(each.get("revision")))]
    active = [each for each in found if each.get("status") == "ACTIVE"]
    if not active:
        return [Problem(DEFINITION, f"there is no active job definition `{named}`")]
    newest = max(active, key=lambda each: each.get("revision", 0))
    if newest.get("type") != "container":
        return [Problem(DEFINITION, f"must be of type container, `{named}` is of type {newest.get('type')}")]
    if not (newest.get("containerProperties") or {}).get("image"):
        return [Problem(DEFINITION, f"`{named}` names no image")]
    return []


def _active(client: Any, name: str) -> list[Mapping[str, Any]]:
    """All active revisions of a definition: one for each build, if somebody registers one for each build."""
    found: list[Mapping[str, Any]] = []
    token: dict[str, str] = {}
    while True:
        page = client.describe_job_definitions(jobDefinitionName=name, status="ACTIVE", **token)
        found += page["jobDefinitions"]
        if not page.get("nextToken"):
            return found
        token = {"nextToken": page["nextToken"]}


def _unusable(what: str, thing: Mapping[str, Any]) -> str:
    """Why a queue or compute environment takes no job; "" if it does."""
    if thing.get("state") != "ENABLED":
        return f"{what} is {thing.get('state')}: enable it"
    if thing.get("status") not in ("VALID", "UPDATING"):
        return f"{what} is {thing.get('status')}: {thing.get('statusReason') or 'see the Batch console'}"
    return ""
