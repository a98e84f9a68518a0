"""Where trials run: names that the cloud takes, and what only trials on the Airflow machine can have."""

import re
from collections.abc import Iterator

from hpo_tasks.errors import Problem
from hpo_tasks.spec.model import BatchBackend, StudySpec
from hpo_tasks.spec.rules.store import CONNECTION
from hpo_tasks.spec.sentences import shown

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]")
_NAME_OR_ARN = re.compile(r"[A-Za-z0-9_-]{1,128}(:[0-9]{1,9})?|arn:[A-Za-z0-9:/_-]{1,500}")
_SHARE = re.compile(r"[A-Za-z0-9]{1,255}")
MAX_CLOUD_TIMEOUT_S = 14 * 86_400.0
"""A job cannot be forgotten on a cloud for longer."""


def backend_problems(spec: StudySpec) -> Iterator[Problem]:
    """The options of the backend itself."""
    backend = spec.backend
    if not isinstance(backend, BatchBackend):
        return
    if backend.connection is not None and not CONNECTION.fullmatch(backend.connection):
        message = f"must be the id of an Airflow connection, got {shown(backend.connection)}"
        yield Problem("backend.connection", message)
    if backend.region is not None and not _REGION.fullmatch(backend.region):
        yield Problem("backend.region", f"must be a region such as eu-west-1, got {shown(backend.region)}")
    for field in ("job_queue", "job_definition"):
        value = getattr(backend, field)
        if not _NAME_OR_ARN.fullmatch(value):
            yield Problem(f"backend.{field}", f"must be a name or an ARN, got {shown(value)}")
    if backend.share_identifier is not None and not _SHARE.fullmatch(backend.share_identifier):
        message = f"must be up to 255 letters and digits, got {shown(backend.share_identifier)}"
        yield Problem("backend.share_identifier", message)


def cloud_problems(spec: StudySpec) -> Iterator[Problem]:
    """What trials on a cloud cannot have."""
    kind, trial = spec.backend.type, spec.trial
    if kind == "local":
        return
    if spec.store is not None and not spec.store.uri.startswith("s3://"):
        yield Problem(
            "store",
            f"must be s3://bucket/prefix with backend {kind}: its jobs reach no folder of this machine",
        )
    if spec.trials_per_task > 1:
        yield Problem(
            "trials_per_task", f"is for trials on the Airflow machine: with backend {kind} each has a job"
        )
    if trial.resources.threads < 1:
        yield Problem(
            "trial.resources.threads", f"must be at least 1 with backend {kind}: it is what the job asks for"
        )
    if trial.timeout_s > MAX_CLOUD_TIMEOUT_S:
        yield Problem("trial.timeout", f"must be at most 14 days with backend {kind}")
    if trial.preload:
        yield Problem("trial.preload", "is for trials on the Airflow machine")
    if trial.secrets:
        message = (
            f"is for trials on the Airflow machine: with backend {kind} put them into the job definition"
        )
        yield Problem("trial.secrets", message)
    for name, uri in trial.inputs.items():
        if not uri.startswith(("s3://", "sklearn:")):
            yield Problem(f"trial.inputs.{name}", f"must lie on S3 with backend {kind}, got {shown(uri)}")
