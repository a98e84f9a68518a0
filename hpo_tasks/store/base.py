"""What the control plane needs beyond the job's access to objects."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from hpo_tasks.trial.objects import Objects, parse_uri
from hpo_tasks.trial.retries import Retries


class Store(Objects, Protocol):
    """An object store that the control plane may also tidy up and compare-and-set in."""

    def delete(self, keys: Iterable[str]) -> int:
        """Delete the objects; missing ones are no error.

        Returns how many are gone by it. S3 does not tell which existed, so there missing ones count too.
        """

    def read_versioned(self, key: str) -> tuple[bytes, str] | None:
        """The object's bytes with an opaque version (ETag or digest); None if there is none."""

    def replace(self, key: str, data: bytes, *, version: str | None) -> bool:
        """Compare-and-set: write only while the object's version is `version` (None: does not exist).

        False: somebody else was first; read again and decide again. (When a reply got lost and others replaced the
        object at once, False may also mean that ours was stored for a moment: the decision must bear being repeated.)
        A key that is compared-and-set must be written in no other way.
        """

    def copy(self, source: str, target: str) -> None:
        """Copy an object within the store, server-side where the store can.

        Raises:
            IntegrityError: there is no object `source`.
        """

    def probe(self) -> None:
        """Write, create twice, read, list and delete small objects below `probe/`. Makes a folder store's root.

        Raises:
            RefusedError: naming what the store lacks: permission, bucket, or conditional create (a store that ignores
                `If-None-Match` would let two outcomes of one trial overwrite each other).
        """


def open_store(uri: str, *, client: Any = None, patience_s: float = 60.0) -> Store:
    """The object store at `uri`. Connects to nothing and creates nothing yet: `probe` does.

    Args:
        uri: a path, `file:///path` or `s3://bucket/prefix`.
        client: a boto3 S3 client, e.g. of an Airflow connection; None builds one from the environment at first use.
        patience_s: how long one call may go on trying while the server does not answer (S3 only). Short, because
            Airflow repeats the task; a job, which nobody repeats for nothing, has more.

    Raises:
        InputError: not an address of an object store.
    """
    location = parse_uri(uri)
    if isinstance(location, Path):
        from hpo_tasks.store.folder_store import FolderStore  # noqa: PLC0415 - it builds on this module

        return FolderStore(location)
    from hpo_tasks.store.s3_store import S3Store  # noqa: PLC0415 - boto3 only where S3 is used

    bucket, prefix = location
    return S3Store(bucket, prefix, client=client, retries=Retries(patience_s))
