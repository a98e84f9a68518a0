"""What the control plane needs beyond the job's access to objects."""

from collections.abc import Iterable
from typing import Protocol

from hpo_tasks.trial.objects import Objects


class Store(Objects, Protocol):
    """An object store that the control plane may also tidy up and compare-and-set in."""

    def delete(self, keys: Iterable[str]) -> int:
        """Delete the objects that exist; returns how many. Missing ones are no error."""

    def read_versioned(self, key: str) -> tuple[bytes, str] | None:
        """The object's bytes with an opaque version (ETag or digest); None if there is none."""

    def replace(self, key: str, data: bytes, *, version: str | None) -> bool:
        """Compare-and-set: write only while the object's version is `version` (None: does not exist).

        False: somebody else was first; read again and decide again.
        """

    def copy(self, source: str, target: str) -> None:
        """Copy an object within the store, server-side where the store can."""

    def probe(self) -> None:
        """Write, create twice, read and delete a small object below `probe/`.

        Raises:
            RefusedError: naming what the store lacks: permission, bucket, or conditional create (a store that ignores
                `If-None-Match` would let two outcomes of one trial overwrite each other).
        """
