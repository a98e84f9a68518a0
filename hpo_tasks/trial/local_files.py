"""Files of this machine: what an OSError means to a person, and files that appear whole."""

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from hpo_tasks.errors import HpoError, RefusedError, UnavailableError
from hpo_tasks.trial.objects import TEMPORARY

CHUNK_BYTES = 1 << 20

_FULL = {
    errno.ENOSPC: "disk full at {path}: free some space",
    errno.EDQUOT: "disk quota used up at {path}: free some space or raise the quota",
}
_REFUSALS = {
    errno.EACCES: "no permission for {path} as user id {uid}: change its owner or mode",
    errno.EPERM: "the system does not permit this at {path} as user id {uid}",
    errno.EROFS: "{path} is on a read-only file system: mount it writable, or use another folder",
    errno.ENOENT: "{path} does not exist",
    errno.ENOTDIR: "{path}: a part of this path is a file, not a folder",
    errno.EEXIST: "{path} exists and is not a folder",
    errno.EISDIR: "{path} is a folder, not a file",
    errno.ELOOP: "{path} is a symbolic link, which is not followed",
    errno.ENXIO: "{path} is a pipe, socket or device, not a file",
    errno.ENAMETOOLONG: "{path}: the path is too long for this file system",
    errno.EFBIG: "{path}: the file is too large for this file system or the process's limit",
}


def explain(error: OSError, path: Path | str) -> HpoError:
    """The project's error for an OSError: refused where a person must act, else unavailable.

    A full disk is unavailable: space comes back by itself more often than not, and waiting costs nothing.
    """
    if full := _FULL.get(error.errno or 0):
        return UnavailableError(full.format(path=path))
    sentence = _REFUSALS.get(error.errno or 0)
    if sentence:
        return RefusedError(sentence.format(path=path, uid=os.geteuid()))
    return UnavailableError(f"{path} cannot be used now: {error.strerror or error}")


@contextmanager
def plain_errors(path: Path | str) -> Iterator[None]:
    """Turn an OSError of the block into `explain(error, path)`."""
    try:
        yield
    except OSError as error:
        raise explain(error, path) from error


def free_bytes(folder: Path) -> int:
    """Room on the folder's file system that this user may fill.

    Raises:
        OSError: there is no such folder.
    """
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


@contextmanager
def whole_file(target: Path) -> Iterator[IO[bytes]]:
    """A file to write that takes `target`'s place when the block ends, or vanishes when it fails.

    Missing parent folders are made.

    Raises:
        OSError: the disk is full, no permission …
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
