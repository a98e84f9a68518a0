"""The control plane's object store in a folder. Standard library only."""

import errno
import fcntl
import hashlib
import os
import shutil
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import PurePosixPath

from hpo_tasks.errors import IntegrityError, UnavailableError
from hpo_tasks.store.probe import probe
from hpo_tasks.trial.folder_objects import FolderObjects
from hpo_tasks.trial.local_files import plain_errors
from hpo_tasks.trial.objects import RESERVED, TEMPORARY, check_key
from hpo_tasks.trial.openat import entries, open_folder

_LOCK = f"{RESERVED}lock"
LOCK_PATIENCE_S = 60.0
LOCK_POLL_S = 0.01
ABANDONED_AFTER_S = 24 * 3600.0
"""No write takes that long: an older temporary was left by a crash."""


class FolderStore(FolderObjects):
    """Implements `Store` on a folder. A version is the SHA-256 of the content.

    `replace` is linearisable: all of them, in all processes, run one after the other under an exclusive flock on one
    file of the store, which the kernel frees when its holder dies; the write itself is a rename, so a crash leaves
    the old object or the new one.
    """

    def delete(self, keys: Iterable[str]) -> int:
        folders: set[PurePosixPath] = set()
        deleted = 0
        for key in keys:
            deleted += self._unlink(key)
            folders.update(PurePosixPath(key).parents)
        for folder in sorted(folders - {PurePosixPath()}, key=lambda path: len(path.parts), reverse=True):
            self._remove_if_empty(folder)
        return deleted

    def read_versioned(self, key: str) -> tuple[bytes, str] | None:
        data = self.read(key)
        return None if data is None else (data, hashlib.sha256(data).hexdigest())

    def replace(self, key: str, data: bytes, *, version: str | None) -> bool:
        if version is None:
            return self.create(key, data)
        with self._lock():
            current = self.read_versioned(key)
            if current is None or current[1] != version:
                return False
            self.write(key, data)
            return True

    def copy(self, source: str, target: str) -> None:
        with self._object(source) as stream:
            if stream is None:
                raise IntegrityError(f"{self._path(source)} does not exist, so it cannot be copied")
            self._replace(target, stream)

    def probe(self) -> None:
        with plain_errors(self._root):
            self._root.mkdir(parents=True, exist_ok=True)
        probe(self)

    def _unlink(self, key: str) -> bool:
        """Delete one object; whether there was one."""
        check_key(key)
        *parents, name = key.split("/")
        with self._errors(key), suppress(FileNotFoundError, IsADirectoryError):
            folder = open_folder(self._root, parents)
            try:
                os.unlink(name, dir_fd=folder)
            finally:
                os.close(folder)
            return True
        return False

    def _remove_if_empty(self, folder: PurePosixPath) -> None:
        *parents, name = folder.parts
        with self._errors(str(folder)), suppress(FileNotFoundError):
            above = open_folder(self._root, parents)
            try:
                self._sweep(folder)
                os.rmdir(name, dir_fd=above)
            except OSError as error:
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                    raise
            finally:
                os.close(above)

    def _sweep(self, folder: PurePosixPath) -> None:
        """Remove temporaries that a crash left in a folder long ago."""
        temporaries = [name for name, _ in entries(self._root, folder.parts) if name.startswith(TEMPORARY)]
        if not temporaries:
            return
        fd = open_folder(self._root, folder.parts)
        try:
            for name in temporaries:
                with suppress(FileNotFoundError):
                    found = os.stat(name, dir_fd=fd, follow_symlinks=False)
                    if found.st_mtime >= time.time() - ABANDONED_AFTER_S:
                        continue
                    if stat.S_ISDIR(found.st_mode):
                        shutil.rmtree(name, dir_fd=fd)
                    else:
                        os.unlink(name, dir_fd=fd)
        finally:
            os.close(fd)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """The store's one lock for `replace`, held by this thread alone."""
        with self._errors(_LOCK):
            root = open_folder(self._root, ())
            try:
                fd = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=root)
            finally:
                os.close(root)
            try:
                self._wait_for(fd)
                yield
            finally:
                # Not by closing alone: a child forked meanwhile would keep it locked.
                fcntl.flock(fd, fcntl.LOCK_UN)
                os.close(fd)

    def _wait_for(self, fd: int) -> None:
        deadline = time.monotonic() + LOCK_PATIENCE_S
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise UnavailableError(
                        f"{self._path(_LOCK)} has been held by another process for {LOCK_PATIENCE_S:g} s"
                    ) from None
                time.sleep(LOCK_POLL_S)
            else:
                return
