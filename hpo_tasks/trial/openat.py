"""Walking below a root folder without ever following a symbolic link, by openat(2). Descriptors: the caller closes.

Each folder of a path is opened relative to its parent's descriptor with O_NOFOLLOW. Checking a path first and opening
it afterwards would leave a moment in which somebody swaps a folder for a link.
"""

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from hpo_tasks.errors import RefusedError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAKE_ATTEMPTS = 1000


def open_folder(root: Path, parents: Sequence[str], *, make: bool = False) -> int:
    """Descriptor of the folder root/parents[0]/parents[1]/…; `make`: missing ones below the root are made.

    Raises:
        RefusedError: the root itself is missing. Not "no such object": an unmounted disk must not look like a study
            without outcomes.
        OSError: as open(2); ENOTDIR or ELOOP for a link.
    """
    try:
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise RefusedError(f"the store's folder {root} does not exist: create it, or mount it") from error
    try:
        for name in parents:
            below = _make_folder(name, fd) if make else os.open(name, _FOLDER, dir_fd=fd)
            os.close(fd)
            fd = below
    except BaseException:
        os.close(fd)
        raise
    return fd


def make_file(root: Path, parents: Sequence[str], name: str) -> tuple[int, int]:
    """Make a new empty file and the folders above it; descriptors of its folder and of itself, open for writing.

    Raises:
        RefusedError, OSError: as `open_folder`; FileExistsError if there is such a file.
    """
    for _ in range(_MAKE_ATTEMPTS):
        # Not found: a delete took the folder away while it was still empty, so make it again.
        with suppress(FileNotFoundError):
            folder = open_folder(root, parents, make=True)
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                return folder, os.open(name, flags, 0o666, dir_fd=folder)
            except BaseException:
                os.close(folder)
                raise
    raise OSError(errno.EAGAIN, "its folder vanishes as often as it is made")


def open_regular(path: Path | str, *, dir_fd: int | None = None) -> IO[bytes]:
    """Open a regular file for reading; never through a symbolic link, never waiting for a pipe's writer.

    Raises:
        OSError: as open(2); ELOOP for a link, EISDIR for a folder, ENXIO for a pipe, socket or device.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=dir_fd)
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(fd, "rb")
    os.close(fd)
    raise OSError(errno.EISDIR if stat.S_ISDIR(mode) else errno.ENXIO, "not a regular file")


def entries(root: Path, parents: Sequence[str]) -> list[tuple[str, bool]]:
    """(name, whether it is a folder) of the folders and regular files in a folder; [] if it is none.

    Raises:
        RefusedError, OSError: as `open_folder`.
    """
    try:
        fd = open_folder(root, parents)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
            return []
        raise
    try:
        with os.scandir(fd) as found:
            kinds = [
                (e.name, e.is_dir(follow_symlinks=False), e.is_file(follow_symlinks=False)) for e in found
            ]
    finally:
        os.close(fd)
    return [(name, is_folder) for name, is_folder, is_file in kinds if is_folder or is_file]


def _make_folder(name: str, parent: int) -> int:
    with suppress(FileNotFoundError):
        return os.open(name, _FOLDER, dir_fd=parent)
    with suppress(FileExistsError):
        os.mkdir(name, dir_fd=parent)
        os.fsync(parent)
    return os.open(name, _FOLDER, dir_fd=parent)
