"""What a study may ask for, by where it came from.

Study files are written by people who may deploy; a form or REST call by anybody who may trigger. Promise: import paths
of what runs inside Airflow, and folders and connections of the Airflow machine, are not theirs to choose.
"""

import os
from collections.abc import Iterator
from enum import Enum

from hpo_tasks.errors import Problem
from hpo_tasks.spec.model import StudySpec
from hpo_tasks.spec.sentences import listed, shown

ALLOWED_CLASSES = "HPO_ALLOWED_CLASSES"
ALLOW_LOCAL = "HPO_ALLOW_LOCAL_ADHOC"
ALLOWED_S3 = "HPO_ALLOWED_S3"


class Trust(Enum):
    """Where a study comes from."""

    FILE = "file"
    """A study file in the DAGs folder, or on the user's own command line."""
    FORM = "form"
    """The trigger form, or REST."""


def trust_problems(spec: StudySpec, trust: Trust) -> Iterator[Problem]:
    """What this study may not ask for."""
    yield from _s3_problems(spec)
    if trust is Trust.FORM:
        yield from import_path_problems(spec.optimizer.sampler, also_allowed=())
        if spec.pool is not None:
            yield Problem("pool", "is a property of the DAG: it may be named in a study file only")
        yield from _machine_problems(spec)


def import_path_problems(sampler: str, also_allowed: tuple[str, ...]) -> Iterator[Problem]:
    """A form may name an imported sampler only if the deployment (`HPO_ALLOWED_CLASSES`) or the file does."""
    allowed = {*_listed_in(ALLOWED_CLASSES), *also_allowed}
    if ":" in sampler and sampler not in allowed:
        yield Problem(
            "optimizer.sampler",
            f"import paths are taken from study files and {ALLOWED_CLASSES} only, got {shown(sampler)}",
        )


def machine_is_open() -> bool:
    """Whether the deployment's owner lets whoever may trigger use the machine: `HPO_ALLOW_LOCAL_ADHOC=1`."""
    return os.environ.get(ALLOW_LOCAL) == "1"


def _machine_problems(spec: StudySpec) -> Iterator[Problem]:
    """What reaches into the machine that runs Airflow."""
    code = spec.trial.code
    code_dir = code.dir if code is not None and code.git is None else None
    if machine_is_open():
        if code_dir is not None and not code_dir.startswith("/"):
            yield Problem("trial.code.dir", f"must be an absolute path in a form, got {shown(code_dir)}")
        return
    yield from _closed_backend(spec)
    if spec.store is not None:
        yield _closed("store", "the store")
    if code_dir is not None:
        yield _closed("trial.code.dir", "a folder on the Airflow machine")
    if spec.trial.secrets:
        yield _closed("trial.secrets", "secrets")
    if spec.trial.preload:  # imported outside of the namespaces that the trials run in
        yield _closed("trial.preload", "modules that are loaded beside the trials")
    for name, uri in spec.trial.inputs.items():
        if uri.startswith(("/", "file:")):
            yield _closed(f"trial.inputs.{name}", "a path on the Airflow machine")


def _closed_backend(spec: StudySpec) -> Iterator[Problem]:
    if spec.backend.type == "local":
        yield _closed("backend.type", "local, which runs programs on the Airflow machine,")
    elif spec.backend.connection is not None:
        yield _closed("backend.connection", "a connection")


def _closed(field: str, what: str) -> Problem:
    return Problem(
        field, f"{what} may be chosen in a study file only, unless the deployment sets {ALLOW_LOCAL}=1"
    )


def _s3_problems(spec: StudySpec) -> Iterator[Problem]:
    """If the deployment lists prefixes in `HPO_ALLOWED_S3`, every address on S3 lies below one of them."""
    prefixes = _listed_in(ALLOWED_S3)
    if not prefixes:
        return
    addresses = {f"trial.inputs.{name}": uri for name, uri in spec.trial.inputs.items()}
    addresses["store"] = spec.store.uri if spec.store else ""
    addresses["trial.code.archive"] = (spec.trial.code.archive or "") if spec.trial.code else ""
    for field, uri in addresses.items():
        if uri.startswith("s3://") and not any(_below(uri, prefix) for prefix in prefixes):
            yield Problem(field, f"must lie below {listed(prefixes)} ({ALLOWED_S3}), got {shown(uri)}")


def _below(uri: str, prefix: str) -> bool:
    folder = prefix.rstrip("/")
    return uri == folder or uri.startswith(f"{folder}/")


def _listed_in(variable: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in os.environ.get(variable, "").split(",") if item.strip())
