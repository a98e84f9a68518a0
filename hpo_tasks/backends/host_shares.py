"""Processors and GPUs of this host, shared out to its jobs by locked files, one per device.

A job inherits the open locks of its devices, so they are free again when its last process is dead, however it died.
"""

import fcntl
import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Share:
    """Locked devices: their names, and the descriptors that hold the locks."""

    names: tuple[str, ...] = ()
    locks: tuple[int, ...] = ()

    def close(self) -> None:
        """Let go of our copies of the locks; those that a job inherited stay."""
        for lock in self.locks:
            os.close(lock)


def try_lock(path: Path, *, shared: bool = False) -> int | None:
    """A descriptor that holds the lock of a file, made if there is none; None while somebody else holds it."""
    descriptor = -1
    while descriptor < 0:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # the folder of an ended job was removed in this very moment
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def take(folder: Path, names: Sequence[str], count: int) -> Share | None:
    """Lock `count` of the named devices; None, and none locked, if fewer are free."""
    taken: list[tuple[str, int]] = []
    for name in names:
        if len(taken) == count:
            break
        lock = try_lock(folder / f"{name}.lock")
        if lock is not None:
            taken.append((name, lock))
    share = Share(tuple(name for name, _ in taken), tuple(lock for _, lock in taken))
    if len(taken) < count:
        share.close()
        return None
    return share


def processors() -> list[str]:
    """Numbers of the processors that this process may use."""
    if not hasattr(os, "sched_getaffinity"):  # macOS
        return []
    return [str(number) for number in sorted(os.sched_getaffinity(0))]


def gpus() -> list[str]:
    """Numbers or ids of the GPUs: `HPO_GPUS` (comma-separated, or how many), else what nvidia-smi lists."""
    named = os.environ.get("HPO_GPUS")
    if named is not None:
        if named.isdigit():
            return [str(number) for number in range(int(named))]
        return [name.strip() for name in named.split(",") if name.strip()]
    with suppress(OSError, subprocess.SubprocessError):
        listed = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True
        ).stdout
        return [str(number) for number, line in enumerate(listed.splitlines()) if line.startswith("GPU ")]
    return []
