"""Walking below a root folder without ever following a symbolic link, by openat(2). Descriptors: the caller closes.

Each folder of a path is opened relative to its parent's descriptor with O_NOFOLLOW. Checking a path first and opening
it afterwards would leave a moment in which somebody swaps a folder for a link.
"""

import errno
import os
import shutil
import stat
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

from hpo_tasks.errors import RefusedError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MAKE_ATTEMPTS = 1000


def open_folder(root: Path, parents: Sequence[str]) -> int:
    """Descriptor of a folder below the root; `parents` are the names on the way to it, its own last.

    Raises:
        RefusedError: the root itself is missing. Not "no such object": an unmounted disk must not look like a study
            without outcomes.
        OSError: as open(2); ENOENT if another folder is missing, ENOTDIR or ELOOP for a link.
    """
    try:
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise RefusedError(f"the store's folder {root} does not exist: create it, or mount it") from error
    for name in parents:
        try:
            below = os.open(name, _FOLDER, dir_fd=fd)
        finally:
            os.close(fd)
        fd = below
    return fd


def make_file(root: Path, parents: Sequence[str], name: str) -> tuple[int, int]:
    """Make a new empty file and the folders above it; descriptors of its folder and of itself, open for writing.

    Raises:
        RefusedError, OSError: as `open_folder`; FileExistsError if there is such a file.
    """
    for _ in range(_MAKE_ATTEMPTS):
        # Not found: a delete took away a folder that was there a moment ago, because it was empty.
        with suppress(FileNotFoundError):
            above, missing = _open_as_deep_as_it_goes(root, parents)
            try:
                made = _graft(above, missing, name) if missing else _make_here(above, name)
            finally:
                os.close(above)
            if made is None:
                continue
            with ExitStack() as opened:
                for descriptor in made:
                    opened.callback(os.close, descriptor)
                if missing:
                    _sync_folders(root, parents, len(parents) - len(missing))
                opened.pop_all()
            return made
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


def _open_as_deep_as_it_goes(root: Path, parents: Sequence[str]) -> tuple[int, Sequence[str]]:
    """Descriptor of the last folder on the way that is there, and the names that are missing below it."""
    fd = open_folder(root, ())
    for depth, name in enumerate(parents):
        try:
            below = os.open(name, _FOLDER, dir_fd=fd)
        except FileNotFoundError:
            return fd, parents[depth:]
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        fd = below
    return fd, ()


def _make_here(folder: int, name: str) -> tuple[int, int]:
    fd = os.open(name, _NEW_FILE, 0o666, dir_fd=folder)
    return os.dup(folder), fd


def _graft(above: int, missing: Sequence[str], name: str) -> tuple[int, int] | None:
    """Make a file and the folders above it under a temporary name, then put them in place; None if others were first.

    So no empty folder is ever seen, which a delete would take away before the file is in it; and again the next time.
    """
    with ExitStack() as opened:
        os.mkdir(name, dir_fd=above)
        opened.callback(shutil.rmtree, name, dir_fd=above)
        folder = os.open(name, _FOLDER, dir_fd=above)
        for below in missing[1:]:
            upper = folder
            try:
                os.mkdir(below, dir_fd=upper)
                folder = os.open(below, _FOLDER, dir_fd=upper)
            finally:
                os.close(upper)
        opened.callback(os.close, folder)
        fd = os.open(name, _NEW_FILE, 0o666, dir_fd=folder)
        opened.callback(os.close, fd)
        try:
            os.rename(name, missing[0], src_dir_fd=above, dst_dir_fd=above)
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                return None
            raise
        opened.pop_all()
        return folder, fd


def _sync_folders(root: Path, parents: Sequence[str], there: int) -> None:
    """Make the entries of new folders durable; so many of the parents were there before."""
    for depth in range(there, len(parents)):
        above = open_folder(root, parents[:depth])
        try:
            os.fsync(above)
        finally:
            os.close(above)
