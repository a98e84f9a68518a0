"""The file of an SQLite study database: where it may lie, and the locks beside it."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine

from hpo_tasks.errors import RefusedError, UnavailableError

NETWORK_FILE_SYSTEMS = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.glusterfs",
        "fuse.s3fs",
        "fuse.sshfs",
        "lustre",
        "ncpfs",
        "nfs",
    }
    | {"nfs4", "smb3", "smbfs"}
)
POLL_S = 0.02
MOUNTS = Path("/proc/self/mountinfo")


def check_folder(file: str) -> None:
    """Make sure that the file can lie there.

    Raises:
        RefusedError: the folder is missing, or on a network file system, where SQLite's locks do not hold.
    """
    folder = Path(file).absolute().parent
    if not folder.is_dir():
        raise RefusedError(f"study database {file}: the folder {folder} does not exist; create it")
    if (
        MOUNTS.exists()
        and (kind := file_system_of(folder.resolve(), MOUNTS.read_text())) in NETWORK_FILE_SYSTEMS
    ):
        raise RefusedError(
            f"study database {file}: SQLite loses data on network file systems ({kind}); use a local disk or PostgreSQL"
        )


def file_system_of(folder: Path, mounts: str) -> str:
    """Type of the file system that holds the folder.

    Args:
        folder: absolute, links resolved.
        mounts: content of /proc/self/mountinfo (proc(5)): the fifth field is the mount point, the type follows ` - `.

    Returns: the type; "" if no line fits.
    """
    deepest, kind = Path(), ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        mount = Path(before.split(" ")[4].encode().decode("unicode_escape"))
        # The last of two mounts at one place hides the first.
        if folder.is_relative_to(mount) and len(mount.parts) >= len(deepest.parts):
            deepest, kind = mount, after.split(" ")[0]
    return kind


@contextmanager
def locked(file: str, name: str, timeout_s: float) -> Iterator[None]:
    """Hold a lock against other processes and threads of this machine.

    Args:
        file: the database.
        name: of the lock; it is an empty file in the folder `<file>.locks`.
        timeout_s: how long to wait for it.

    Raises:
        UnavailableError: not got within `timeout_s`.
        OSError: the lock file cannot be opened.
    """
    deadline = time.monotonic() + timeout_s
    folder = Path(f"{file}.locks")
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise UnavailableError(
                        f"study database {file}: another process has held the lock {name} for {timeout_s:g} s; "
                        "trying again later may help"
                    ) from None
                time.sleep(POLL_S)
        yield
    finally:
        os.close(descriptor)


def use_write_ahead_log(engine: Engine) -> None:
    """Let readers and the writer not wait for each other. Stays with the file."""
    with engine.connect() as connection:
        if connection.exec_driver_sql("PRAGMA journal_mode").scalar() != "wal":
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
