"""Objects in a folder. Standard library only.

A symbolic link below the root is never followed (openat.py). So no key, and no program that can write below the root,
makes us read or write outside of it. The root itself may be reached through links: whoever configures it decides that.

An object appears by `os.link` or `os.replace` of a finished, fsynced temporary file in the same folder; then the
folder is fsynced. A crash leaves at most a temporary, whose name no listing shows.
"""

import errno
import io
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TypeVar

from hpo_tasks.errors import IntegrityError, RefusedError, UnavailableError
from hpo_tasks.trial.local_files import CHUNK_BYTES, explain, plain_errors, whole_file
from hpo_tasks.trial.objects import TEMPORARY, check_key, is_key
from hpo_tasks.trial.openat import entries, make_file, open_folder, open_regular
from hpo_tasks.trial.retries import Retries

T = TypeVar("T")

_FOREIGN = {errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}


class FolderObjects:
    """Implements `Objects` on a folder that exists already (the control plane's probe makes it).

    Args:
        root: the folder.
        retries: for writes while the disk is full; None: they fail at once.
    """

    def __init__(self, root: Path, *, retries: Retries | None = None) -> None:
        self._root = root.resolve()
        self._retries = retries

    @property
    def uri(self) -> str:
        return self._root.as_uri()

    def read(self, key: str, *, limit: int | None = None) -> bytes | None:
        with self._object(key) as file:
            if file is None:
                return None
            data = file.read() if limit is None else file.read(limit + 1)
        if limit is not None and len(data) > limit:
            raise IntegrityError(f"{self._path(key)} has more than the {limit:,} bytes allowed")
        return data

    def create(self, key: str, data: bytes) -> bool:
        return self._patiently(lambda: self._create(key, data))

    def _create(self, key: str, data: bytes) -> bool:
        with self._temporary(key, io.BytesIO(data)) as (folder, temporary, name):
            try:
                os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
            except FileExistsError:
                won = _is_same_file(folder, temporary, name)
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                raise RefusedError(
                    f"the file system of {self._root} has no hard links, which creating an object once needs: "
                    "use a folder on another file system, or S3"
                ) from error
            else:
                won = True
            # The loser too: what it was told exists must still exist after a power failure.
            os.fsync(folder)
            return won

    def write(self, key: str, data: bytes) -> None:
        self._patiently(lambda: self._replace(key, io.BytesIO(data)))

    def upload(self, key: str, source: Path) -> None:
        def copy() -> None:
            with plain_errors(source):
                stream = open_regular(source)
            with stream:
                self._replace(key, stream)

        self._patiently(copy)

    def download(self, key: str, target: Path) -> bool:
        with self._object(key) as file:
            if file is None:
                return False
            with plain_errors(target), whole_file(target) as copy:
                shutil.copyfileobj(file, copy, CHUNK_BYTES)
        return True

    def list(self, prefix: str) -> Iterator[str]:
        if prefix:
            check_key(prefix.removesuffix("/"))
        pending = [prefix[: prefix.rfind("/") + 1]]
        while pending:
            folder = pending.pop()
            with self._errors(folder):
                found = entries(self._root, folder.split("/")[:-1])
            for name, is_folder in found:
                key = folder + name
                if not is_key(key):
                    continue
                if is_folder and f"{key}/".startswith(prefix):
                    pending.append(f"{key}/")
                elif not is_folder and key.startswith(prefix):
                    yield key

    @contextmanager
    def _object(self, key: str) -> Iterator[IO[bytes] | None]:
        """The object opened for reading, None if there is none (a folder of that name is none)."""
        check_key(key)
        *parents, name = key.split("/")
        with self._errors(key):
            try:
                folder = open_folder(self._root, parents)
                try:
                    file = open_regular(name, dir_fd=folder)
                finally:
                    os.close(folder)
            except (FileNotFoundError, IsADirectoryError):
                yield None
                return
            with file:
                yield file

    @contextmanager
    def _temporary(self, key: str, stream: IO[bytes]) -> Iterator[tuple[int, str, str]]:
        """A finished temporary file beside the object: (its folder's descriptor, its name, the object's name)."""
        check_key(key)
        *parents, name = key.split("/")
        temporary = f"{TEMPORARY}{uuid.uuid4().hex}"
        with self._errors(key):
            folder, fd = make_file(self._root, parents, temporary)
            try:
                with os.fdopen(fd, "wb") as file:
                    shutil.copyfileobj(stream, file, CHUNK_BYTES)
                    file.flush()
                    os.fsync(file.fileno())
                yield folder, temporary, name
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=folder)
                os.close(folder)

    def _replace(self, key: str, stream: IO[bytes]) -> None:
        with self._temporary(key, stream) as (folder, temporary, name):
            os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)

    def _patiently(self, call: Callable[[], T]) -> T:
        return call() if self._retries is None else self._retries.run(call)

    def _path(self, key: str) -> Path:
        """For messages only; opening it would follow links."""
        return self._root / key

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _FOREIGN:
                raise IntegrityError(
                    f"{self._path(key)}: a symbolic link, or a folder where a file should be (or the reverse), "
                    "is in the object's place; the store never writes such a thing"
                ) from error
            if isinstance(error, FileNotFoundError):
                raise UnavailableError(
                    f"{self._path(key)}: its folder was deleted while it was written"
                ) from error
            raise explain(error, self._path(key)) from error


def _is_same_file(folder: int, temporary: str, name: str) -> bool:
    """Whether the object is our own file: NFS repeats a link whose reply was lost, and then says "exists"."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "a folder is in the object's place")
    return os.path.samestat(found, os.stat(temporary, dir_fd=folder, follow_symlinks=False))
