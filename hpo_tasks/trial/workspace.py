"""The scratch folder of one attempt, filled before the program starts: the user's code and the last checkpoint."""

import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from hpo_tasks.errors import InputError, IntegrityError
from hpo_tasks.trial.contract import Request, canonical_json
from hpo_tasks.trial.environment import Places
from hpo_tasks.trial.local_files import explain, plain_errors
from hpo_tasks.trial.objects import Objects

if TYPE_CHECKING:
    from tarfile import TarFile, TarInfo

MAX_CODE_BYTES = 4 << 30
MAX_CODE_MEMBERS = 100_000
LIVE_LOG = "log-tail.txt"
CALL_ERROR = "error.txt"


class Workspace:
    """Folders of one attempt below one scratch folder.

    Attributes:
        root: the scratch folder itself; files in it but not below `places` are the runner's own.
        places: what the program is told of.
        call, call_error: what call.py is to call, and what that raised.
        live_log: holds the last lines of the output while the program runs.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.places = Places(
            work=root / "work",
            home=root / "home",
            tmp=root / "tmp",
            params=root / "io" / "params.json",
            metrics=root / "io" / "metrics.jsonl",
            stop=root / "io" / "stop",
            checkpoint=root / "checkpoint",
            model=root / "model",
        )
        self.call = root / "io" / "call.json"
        self.call_error = self.call.with_name(CALL_ERROR)
        self.live_log = root / LIVE_LOG

    def new_folder(self, name: str) -> Path:
        """Make a folder in the scratch folder that no program could have made before."""
        folder = self.root / f"{name}-{os.urandom(4).hex()}"
        with plain_errors(folder):
            folder.mkdir()
        return folder

    def model_dir(self, request: Request) -> Path | None:
        """The folder that the program writes its model to by itself, if the request names one."""
        return self.places.work / request.model_dir if request.model_dir else None

    def prepare(self, request: Request, objects: Objects) -> None:
        """Make the folders, unpack the code, write the parameters.

        Raises:
            InputError: the code archive is no safe tar archive.
            IntegrityError: the archive is missing, or is not the one that the request names.
            UnavailableError, RefusedError: the store; or this host's disk.
        """
        places = self.places
        with plain_errors(self.root):
            for folder in (
                places.work,
                places.home,
                places.tmp,
                places.params.parent,
                places.checkpoint,
                places.model,
            ):
                folder.mkdir()
            places.params.write_bytes(canonical_json(request.params))
            places.metrics.touch()
        if request.code is not None:
            archive = self.root / "code.tar"
            _fetch(objects, request.code["archive"], archive, sha256=request.code["sha256"])
            unpack(archive, places.work)
            archive.unlink()
        own_model = self.model_dir(request)
        if own_model is not None and request.clean_model_dir:
            with plain_errors(own_model):
                _empty(own_model)


@contextmanager
def scratch_folder(parent: Path, name: str) -> Iterator[Path]:
    """A new private folder below `parent`, gone when the block ends.

    Raises:
        RefusedError: no permission, disk full.
    """
    folder = parent / f"{name}-{os.urandom(4).hex()}"
    with plain_errors(folder):
        folder.mkdir(mode=0o700, parents=True)
    try:
        yield folder
    finally:
        remove_tree(folder)


def remove_tree(folder: Path) -> None:
    """Remove a folder, also one in which a program took away the permission to do so.

    Never fails: what cannot be removed stays, because an attempt's verdict is not lost over it.
    """
    with suppress(OSError):
        shutil.rmtree(folder)
        return
    for parent, names, _ in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            with suppress(OSError):
                if not path.is_symlink():
                    path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _extract(tar: "TarFile", member: "TarInfo", target: Path) -> None:
    """Extract one member with the rules of PEP 706's `data` filter; before Python 3.11.4 by hand, without links."""
    if sys.version_info >= (3, 11, 4):
        tar.extract(member, target, filter="data")
        return
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{member.name!r} leads out of the folder")
    if not (member.isreg() or member.isdir()):
        raise ValueError(f"{member.name!r} is no plain file (links need Python 3.11.4 or newer in the job)")
    member.uid, member.gid = os.getuid(), os.getgid()
    member.mode = (member.mode & 0o755) | (0o700 if member.isdir() else 0o600)
    tar.extract(member, target)


def unpack(archive: Path, target: Path) -> None:
    """Unpack a tar archive (any compression Python knows): nothing lands outside of `target`, no device, no setuid.

    Raises:
        InputError: not such an archive, or more than `MAX_CODE_BYTES` or `MAX_CODE_MEMBERS`.
        RefusedError: the disk is full.
    """
    import lzma  # noqa: PLC0415 - like tarfile, only for programs that come with code
    import tarfile  # noqa: PLC0415
    import zlib  # noqa: PLC0415

    size = members = 0
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                size, members = size + member.size, members + 1
                if size > MAX_CODE_BYTES or members > MAX_CODE_MEMBERS:
                    raise InputError(
                        f"trial.code: more than {MAX_CODE_BYTES:,} bytes or {MAX_CODE_MEMBERS:,} files"
                    )
                _extract(tar, member, target)
    except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        if isinstance(error, OSError) and error.errno:  # the disk, not the archive
            raise explain(error, target) from error
        raise InputError(f"trial.code: not a tar archive that can be unpacked: {error}") from None


def _fetch(objects: Objects, key: str, target: Path, *, sha256: str) -> None:
    if not objects.download(key, target):
        raise IntegrityError(f"{key}: the study's code is not in the object store")
    with target.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise IntegrityError(f"{key}: is not the code that the study was pinned with (SHA-256 {found[:16]}…)")


def _empty(folder: Path) -> None:
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.is_dir():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
