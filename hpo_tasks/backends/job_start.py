"""Hands a job to the trial parent of this host, and starts that one first if there is none."""

import fcntl
import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import hpo_tasks
from hpo_tasks.backends.job_order import Order, ask, short_path
from hpo_tasks.errors import UnavailableError
from hpo_tasks.trial import processes
from hpo_tasks.trial.local_files import plain_errors
from hpo_tasks.trial.printable import last_lines, one_line

PATIENCE_S = 60.0
"""How long a trial parent may take to import what it preloads."""
LOOK_AGAIN_S = 0.01
QUIET = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
"""So that libraries start no threads while they are preloaded; a trial sets its own numbers (`trial/forked.py`)."""
_MAX_LOG_BYTES = 4096


def start_job(folder: Path, modules: Sequence[str], order: Order, descriptors: Sequence[int]) -> None:
    """Start the job as a child of the trial parent that has these modules loaded.

    Args:
        folder: where trial parents have their locks and sockets; this user's own, not visible to any job.
        modules: to preload. Installed ones only: they are imported outside of every namespace.
        order: the job.
        descriptors: the job's standard output, and the locks that it holds while it lives.

    Raises:
        UnavailableError: no parent answers, or it cannot fork.
        RefusedError: the folder cannot be written.
    """
    name = parent_name(modules)
    with plain_errors(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    deadline = time.monotonic() + PATIENCE_S
    starter: subprocess.Popen[bytes] | None = None
    while (parent := _connect(folder / f"{name}.sock")) is None:
        if starter is None or (starter.poll() is not None and not _is_running(folder / f"{name}.lock")):
            if starter is not None and starter.returncode != 0:
                raise UnavailableError(f"the trial parent does not start: {_said(folder, name)}")
            starter = _start_parent(folder, name, modules)
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"the trial parent is not ready after {PATIENCE_S:g} s: {_said(folder, name)}"
            )
        time.sleep(LOOK_AGAIN_S)
    with parent:
        try:
            refused = ask(parent, order, descriptors)
        except OSError as error:
            raise UnavailableError(f"the trial parent ended while it started the job ({error})") from None
    if refused:
        raise UnavailableError(f"the trial parent {refused}")


def parent_name(modules: Sequence[str]) -> str:
    """Name of the parent for these modules. Another one for other code of ours: an upgrade must not run the old."""
    package = Path(hpo_tasks.__file__ or "").parent
    newest = max(
        entry.stat().st_mtime_ns
        for folder in ("backends", "trial", "trial/trainers")
        for entry in os.scandir(package / folder)
        if entry.name.endswith(".py")
    )
    whole = "\n".join([sys.executable, str(package), str(newest), *sorted(set(modules))])
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def end_parents(folder: Path) -> None:
    """Kill the trial parents. Jobs that run go on."""
    processes.kill_all(lambda: parents(folder), patience_s=10.0)


def parents(folder: Path) -> list[int]:
    """Process ids of the trial parents, and of jobs in the very moment in which they are forked."""
    return [pid for lock in folder.glob("*.lock") for pid in processes.holders(lock) if pid != os.getpid()]


def _connect(address: Path) -> socket.socket | None:
    parent = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with suppress(FileNotFoundError, ConnectionRefusedError), short_path(address) as path:
        parent.connect(path)
        return parent
    parent.close()
    return None


def _start_parent(folder: Path, name: str, modules: Sequence[str]) -> "subprocess.Popen[bytes]":
    with plain_errors(folder), (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "hpo_tasks.backends.trial_parent",
                str(folder),
                name,
                *sorted(set(modules)),
            ],
            env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", **QUIET},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # it outlives the task, whoever ends that
        )


def _is_running(lock: Path) -> bool:
    with suppress(FileNotFoundError), lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _said(folder: Path, name: str) -> str:
    with suppress(OSError):
        log = last_lines((folder / f"{name}.log").read_bytes().rstrip(), _MAX_LOG_BYTES)
        return one_line(log.rpartition("\n")[2], 200)
    return ""
