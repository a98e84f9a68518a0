"""SageMaker's calls about training jobs; everything else of SageMaker is moto's."""

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

from aws_double.calls import AskMotoError, AwsError, Call
from aws_double.sagemaker_job import OPT_ML, TrainingJob
from aws_double.sagemaker_pools import LONGEST_KEEP_ALIVE_S
from aws_double.sagemaker_runs import SageMakerSettings, TrainingRuns
from aws_double.settings import Platform

MOST_LISTED = 100


class SageMaker:
    """All training jobs."""

    def __init__(self, platform: Platform) -> None:
        self._runs = TrainingRuns(platform)
        self._jobs: dict[tuple[str, str], TrainingJob] = {}
        self._tags: dict[str, dict[str, str]] = {}

    def operations(self) -> dict[str, Callable[[Call], Any]]:
        return {
            "CreateTrainingJob": self.create_training_job,
            "DescribeTrainingJob": lambda call: self._job(call).details(),
            "ListTrainingJobs": self.list_training_jobs,
            "StopTrainingJob": self.stop_training_job,
            "UpdateTrainingJob": self.update_training_job,
            "AddTags": self.add_tags,
            "ListTags": self.list_tags,
            "DeleteTags": self.delete_tags,
        }

    def injections(self) -> dict[str, Callable[[Mapping[str, Any]], Any]]:
        return {
            "sagemaker/config": self._configure,
            "sagemaker/interrupt": lambda body: {
                "done": self._runs.take_machine(self._named(body), body.get("notice", 0))
            },
            "sagemaker/oom": lambda body: {"done": self._runs.run_out_of_memory(self._named(body))},
        }

    def alive(self) -> list[str]:
        """Names of jobs that are not over, and of those whose machines are kept warm."""
        with self._runs.changed:
            return [
                job.name
                for job in self._jobs.values()
                if not job.ended or (job.pool is not None and job.pool.status == "Available")
            ]

    def clear(self) -> None:
        self._runs.clear()
        self._jobs.clear()
        self._tags.clear()

    def create_training_job(self, call: Call) -> dict[str, str]:
        job = TrainingJob(dict(call.parameters), call.region)
        _check(job)
        with self._runs.changed:
            if (call.region, job.name) in self._jobs:
                message = "Training job names must be unique within an AWS account and region"
                raise AwsError(
                    "ResourceInUse", f"{message}, and a training job with this name already exists"
                )
            self._check_limit(job)
            self._jobs[call.region, job.name] = job
            self._tags[job.arn] = {tag["Key"]: tag["Value"] for tag in call.get("Tags", [])}
            self._runs.start(job)
        return {"TrainingJobArn": job.arn}

    def list_training_jobs(self, call: Call) -> dict[str, Any]:
        with self._runs.changed:
            found = [
                job for job in self._jobs.values() if job.region == call.region and _is_listed(job, call)
            ]
            by_name = call.get("SortBy", "CreationTime") == "Name"
            found.sort(key=lambda job: job.name if by_name else job.created_at)
            if call.get("SortOrder", "Descending") == "Descending":
                found.reverse()
            summaries = [job.summary() for job in found]
        most, start = call.get("MaxResults", 10), int(call.get("NextToken", 0))
        if not 1 <= most <= MOST_LISTED:
            raise _invalid(f"MaxResults must be between 1 and {MOST_LISTED}, got {most}")
        reply: dict[str, Any] = {"TrainingJobSummaries": summaries[start : start + most]}
        if start + most < len(summaries):
            reply["NextToken"] = str(start + most)
        return reply

    def stop_training_job(self, call: Call) -> dict[str, Any]:
        job = self._job(call)
        if job.ended:
            raise _invalid(f"The request was rejected because the training job is in status {job.status}.")
        self._runs.stop(job, "Stopped")
        return {}

    def update_training_job(self, call: Call) -> dict[str, str]:
        job = self._job(call)
        keep_alive_s = call.get("ResourceConfig", {}).get("KeepAlivePeriodInSeconds")
        with self._runs.changed:
            if job.pool is None or job.pool.status not in {"InUse", "Available"}:
                raise _invalid(f"The training job {job.name} has no warm pool that could be updated.")
            job.pool.keep_alive_s = keep_alive_s or 0
            if not keep_alive_s:
                job.pool.release()
        return {"TrainingJobArn": job.arn}

    def add_tags(self, call: Call) -> dict[str, Any]:
        tags = self._tags_of(call)
        tags.update({tag["Key"]: tag["Value"] for tag in call.get("Tags", [])})
        return {"Tags": call.get("Tags", [])}

    def list_tags(self, call: Call) -> dict[str, Any]:
        return {"Tags": [{"Key": key, "Value": value} for key, value in self._tags_of(call).items()]}

    def delete_tags(self, call: Call) -> dict[str, Any]:
        tags = self._tags_of(call)
        for key in call.get("TagKeys", []):
            tags.pop(key, None)
        return {}

    def _tags_of(self, call: Call) -> dict[str, str]:
        arn = call.get("ResourceArn", "")
        if ":training-job/" not in arn:
            raise AskMotoError
        if arn not in self._tags:
            raise _invalid("Requested resource not found.")
        return self._tags[arn]

    def _job(self, call: Call) -> TrainingJob:
        job = self._jobs.get((call.region, call.get("TrainingJobName", "")))
        if job is None:
            raise _invalid("Requested resource not found.")
        return job

    def _named(self, body: Mapping[str, Any]) -> TrainingJob:
        return next(job for job in self._jobs.values() if job.name == body["TrainingJobName"])

    def _check_limit(self, job: TrainingJob) -> None:
        limit = self._runs.settings.limit
        if isinstance(limit, dict):
            limit = limit.get(job.instance_type)
        if limit is None:
            return
        asked = job.asked["ResourceConfig"].get("InstanceCount", 1)
        in_use = sum(
            not each.ended and each.instance_type == job.instance_type for each in self._jobs.values()
        )
        if in_use + asked > limit:
            raise AwsError(
                "ResourceLimitExceeded",
                f"The account-level service limit '{job.instance_type} for training job usage' is {limit} Instances, "
                f"with current utilization of {in_use} Instances and a request delta of {asked} Instances.",
            )

    def _configure(self, body: Mapping[str, Any]) -> None:
        with self._runs.changed:
            self._runs.settings = SageMakerSettings(**{**vars(self._runs.settings), **body})
            self._runs.changed.notify_all()


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message)


def _check(job: TrainingJob) -> None:
    """Refuse what AWS refuses at once."""
    asked = job.asked
    keep_alive_s = asked["ResourceConfig"].get("KeepAlivePeriodInSeconds")
    limits = asked.get("StoppingCondition", {})
    if keep_alive_s is not None and not 0 <= keep_alive_s <= LONGEST_KEEP_ALIVE_S:
        raise _invalid(
            f"KeepAlivePeriodInSeconds must be between 0 and {LONGEST_KEEP_ALIVE_S}, got {keep_alive_s}"
        )
    if job.spot and keep_alive_s:
        raise _invalid("KeepAlivePeriodInSeconds is not supported with managed spot training")
    if job.spot and limits.get("MaxWaitTimeInSeconds", 0) < limits.get("MaxRuntimeInSeconds", 86_400):
        raise _invalid(
            "MaxWaitTimeInSeconds must be present and at least MaxRuntimeInSeconds with spot training"
        )
    if not job.spot and "MaxWaitTimeInSeconds" in limits:
        raise _invalid("MaxWaitTimeInSeconds is for managed spot training only")
    if not job.instance_type.startswith("ml."):
        raise _invalid(f"ResourceConfig.InstanceType must be an ml. type, got {job.instance_type!r}")
    if not asked["AlgorithmSpecification"].get("TrainingImage"):
        raise _invalid("AlgorithmSpecification.TrainingImage is required: the double runs images only")
    local = PurePosixPath((asked.get("CheckpointConfig") or {}).get("LocalPath") or OPT_ML / "checkpoints")
    if not local.is_relative_to(OPT_ML):
        raise _invalid(f"CheckpointConfig.LocalPath: the double has folders below {OPT_ML} only, got {local}")


def _is_listed(job: TrainingJob, call: Call) -> bool:
    pool = job.pool.status if job.pool else None
    return (
        call.get("StatusEquals") in {None, job.status}
        and call.get("NameContains", "").lower() in job.name.lower()
        and call.get("WarmPoolStatusEquals") in {None, pool}
        and call.get("CreationTimeAfter", 0) <= job.created_at <= call.get("CreationTimeBefore", float("inf"))
    )
