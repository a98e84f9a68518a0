"""What of a deployment is still in use: jobs, instances, objects. Asked before its stack is deleted."""

from collections.abc import Callable, Iterator
from typing import Any

from hpo_tasks.infra.stack import Stack, aws_errors

ALIVE = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")
"""Statuses of Batch jobs that have not ended."""

NewClient = Callable[[str], Any]
"""Makes the boto3 client of a service."""


def remains(client: NewClient, stack: Stack) -> list[str]:
    """One sentence for each kind of thing that is in use; empty if the stack may go.

    A stack whose creation failed has no outputs; then there is nothing to look for.

    Raises:
        UnavailableError, RefusedError: as `aws_errors`.
    """
    if not stack.outputs:
        return []
    return [
        *_batch_jobs(client("batch"), stack),
        *_training_jobs(client("sagemaker"), stack),
        *_instances(client("ec2"), stack),
        *_objects(client("s3"), stack),
    ]


def _batch_jobs(batch: Any, stack: Stack) -> Iterator[str]:
    queue, names = stack.outputs["JobQueue"], []
    with aws_errors("ListJobs"):
        for status in ALIVE:
            pages = batch.get_paginator("list_jobs").paginate(jobQueue=queue, jobStatus=status)
            names += [job["jobName"] for page in pages for job in page["jobSummaryList"]]
    if names:
        yield f"{len(names)} Batch jobs in queue {queue} have not ended, such as {names[0]}: stop their studies"


def _training_jobs(sagemaker: Any, stack: Stack) -> Iterator[str]:
    with aws_errors("ListTrainingJobs"):
        pages = sagemaker.get_paginator("list_training_jobs").paginate(
            NameContains="hpo-", StatusEquals="InProgress"
        )
        jobs = [job for page in pages for job in page["TrainingJobSummaries"]]
        mine = [
            job["TrainingJobName"]
            for job in jobs
            if _is_ours(sagemaker.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"], stack)
        ]
    if mine:
        yield f"{len(mine)} SageMaker training jobs have not ended, such as {mine[0]}: stop their studies"


def _instances(ec2: Any, stack: Stack) -> Iterator[str]:
    """Those of the ec2 backend. Batch's own go with its compute environments."""
    filters = [
        {"Name": "tag:hpo:deployment", "Values": [stack.outputs["Deployment"]]},
        {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
    ]
    with aws_errors("DescribeInstances"):
        pages = ec2.get_paginator("describe_instances").paginate(Filters=filters)
        found = [each for page in pages for group in page["Reservations"] for each in group["Instances"]]
    batch = {"Key": "Name", "Value": f"{stack.name}-batch"}
    alive = [each["InstanceId"] for each in found if batch not in each.get("Tags", ())]
    if alive:
        yield f"{len(alive)} instances are alive, such as {alive[0]}: stop their studies, or terminate them"


def _objects(s3: Any, stack: Stack) -> Iterator[str]:
    bucket = stack.outputs["Bucket"]
    with aws_errors("ListObjectsV2"):
        found = s3.list_objects_v2(Bucket=bucket, MaxKeys=1).get("Contents", ())
    if found:
        yield (
            f"bucket {bucket} is not empty: keep what you need (hpo export), "
            f"then empty it: aws s3 rm --recursive s3://{bucket}"
        )


def _is_ours(tags: list[dict[str, str]], stack: Stack) -> bool:
    return {"Key": "hpo:deployment", "Value": stack.outputs["Deployment"]} in tags
