"""Where results are kept."""

import re
from collections.abc import Iterator

from hpo_tasks.errors import Problem
from hpo_tasks.spec.inputs import s3_misfit, uri_misfit
from hpo_tasks.spec.model import StudySpec
from hpo_tasks.spec.sentences import shown

CONNECTION = re.compile(r"[A-Za-z0-9_.:-]{1,200}")


def store_problems(spec: StudySpec) -> Iterator[Problem]:
    """The object store: a folder by its absolute path, or a prefix on S3."""
    if spec.store is None:
        return
    uri, connection = spec.store.uri, spec.store.connection
    if message := _store_misfit(uri):
        yield Problem("store", message)
    if connection is not None and not CONNECTION.fullmatch(connection):
        yield Problem("store.connection", f"must be the id of an Airflow connection, got {shown(connection)}")
    elif connection is not None and not uri.startswith("s3://"):
        yield Problem("store.connection", "is for stores on S3: a folder needs none")


def _store_misfit(uri: str) -> str:
    if uri.startswith("s3://"):
        return s3_misfit(uri.rstrip("/"))
    if not uri.startswith(("/", "file:///")):
        return f"must be an absolute path, file:///… or s3://bucket/prefix, got {shown(uri)}"
    return uri_misfit(uri)
