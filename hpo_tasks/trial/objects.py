"""Reading and writing objects, with create-once. The base of the job's access and of the control plane's store.

Implementations: FolderObjects (temporary file, fsync, os.link) and S3Objects (PutObject with If-None-Match: *).
`open_objects(uri)` picks one by scheme: a path or file:// → folder; s3:// → boto3, imported only then.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol


class Objects(Protocol):
    """A flat space of objects below one root. Keys are relative, `/`-separated, never absolute, no `..`.

    Promises: an object appears whole or not at all. `create` is linearisable: of any number of callers exactly one
    gets True. All methods may be called from several processes and threads, and may be repeated.

    Raises (all methods):
        UnavailableError: no answer after the bounded retries; try again later.
        RefusedError: permission denied, bucket or root missing, read-only folder, disk full.
    """

    @property
    def uri(self) -> str:
        """Address of the root (`file:///…` or `s3://bucket/prefix`), without a trailing slash."""

    def read(self, key: str, *, limit: int | None = None) -> bytes | None:
        """The object's bytes, None if there is none. More than `limit` bytes raises IntegrityError."""

    def create(self, key: str, data: bytes) -> bool:
        """Write the object if there is none. False: somebody was first (its content stays)."""

    def write(self, key: str, data: bytes) -> None:
        """Write or replace the object."""

    def upload(self, key: str, source: Path) -> None:
        """Write or replace the object from a file."""

    def download(self, key: str, target: Path) -> bool:
        """Copy the object into a file, which appears whole. False: there is no such object."""

    def list(self, prefix: str) -> Iterator[str]:
        """Keys that start with `prefix`, in no promised order. Keys are returned relative to the root."""
