"""The process that a host's jobs are forked from, so that none of them starts an interpreter and imports its libraries.

`python -P -m hpo_tasks.backends.trial_parent <folder> <name> [module…]`, started by `job_start.py` for the first job
that wants it; it ends when it has had nothing to do for a while. Jobs do not need it once they run.

It is exec'd with an environment of its own, so there is nothing of Airflow in it: no secret that a job could inherit,
no connection, no thread. It has one thread for as long as it lives: a fork copies the calling thread alone, and a lock
that another one held would stay locked in the job for ever. Libraries that start threads when they are imported are
therefore not preloaded.
"""

import fcntl
import gc
import importlib
import os
import random
import signal
import socket
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from hpo_tasks.backends import gpu_queue, sandbox
from hpo_tasks.backends.job_order import STARTED, Order, receive, short_path
from hpo_tasks.backends.sandbox import View
from hpo_tasks.trial import runner

IDLE_S = 30.0
LOOK_AGAIN_S = 1.0
OUR_OWN = ("hpo_tasks.trial.folder_objects", "grp", "gzip", "tarfile")
"""What our runner imports only when it needs it, as every job of a folder store with code does. They start no thread."""
NOTHING = "--nothing"
"""Instead of modules: they were tried, and one of them starts threads."""


def main(arguments: Sequence[str]) -> None:
    """Take the lock, preload, serve."""
    folder, name, *modules = arguments
    lock = os.open(Path(folder) / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # there is one already
    # Whoever ends a job signals all that have its lock open, and for a moment that is this process.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    preload(modules, again=[folder, name, NOTHING])
    sandbox.available()  # remembered, for all jobs
    gc.collect()
    gc.freeze()  # jobs share these pages with us until somebody writes to them, which the collector would
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        address = listen(listener, Path(folder), name)
        serve(listener, address, own=(lock, listener.fileno()))


def preload(modules: Sequence[str], *, again: Sequence[str]) -> None:
    """Import what the jobs will want; become this program with the arguments `again` if that has started threads.

    A module that cannot be imported is left to the job that needs it: there the message reaches the user.
    """
    for module in OUR_OWN:
        importlib.import_module(module)
    if NOTHING in modules:
        return
    for module in modules:
        with suppress(Exception):
            importlib.import_module(module)
    if _threads() > 1:
        os.execv(sys.executable, [sys.executable, "-P", "-m", "hpo_tasks.backends.trial_parent", *again])  # noqa: S606


def listen(listener: socket.socket, folder: Path, name: str) -> Path:
    """Make the socket appear under its name once it can be connected to."""
    address, fresh = folder / f"{name}.sock", folder / f"{name}.new"
    fresh.unlink(missing_ok=True)
    with short_path(fresh) as path:
        listener.bind(path)
    listener.listen(128)
    fresh.replace(address)
    return address


def serve(listener: socket.socket, address: Path, *, own: Sequence[int]) -> None:
    """Start jobs, until there has been nothing to do for `IDLE_S` and none of them is alive.

    Args:
        listener: accepts orders.
        address: its path; when that is gone, so is the folder, and nobody will come any more.
        own: descriptors that no job may keep.
    """
    inode = address.stat().st_ino
    listener.settimeout(LOOK_AGAIN_S)
    idle_since = time.monotonic()
    while _is_there(address, inode) and time.monotonic() - idle_since < IDLE_S:
        if _serve_one(listener, own) or _has_children():
            idle_since = time.monotonic()
    if _is_there(address, inode):
        address.unlink()
    listener.settimeout(0.0)
    while _serve_one(listener, own):  # who had connected by then
        pass


def _serve_one(listener: socket.socket, own: Sequence[int]) -> bool:
    try:
        client, _ = listener.accept()
    except (TimeoutError, BlockingIOError):
        return False
    with client, suppress(OSError):  # the client was killed: it, or another, comes again
        order, descriptors = receive(client)
        try:
            if os.fork() == 0:
                become_job(order, descriptors, close=(*own, client.fileno()))
            client.sendall(STARTED)
        except OSError as error:
            client.sendall(f"cannot start a process: {error}".encode())
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
    return True


def become_job(order: Order, descriptors: Sequence[int], *, close: Sequence[int]) -> NoReturn:
    """Be the runner of the job: in a new session, with its own environment and namespaces. Never returns."""
    status = 1
    try:
        for descriptor in close:
            os.close(descriptor)
        output, *_locks = descriptors  # locks stay open, which is all they are for
        _detach(output)
        os.environ.clear()
        os.environ.update(order.env)
        if order.gpus is not None:
            folder, names, count = order.gpus
            share = gpu_queue.wait(Path(folder), names, count)
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(share.names)
        if order.hide is not None and sandbox.available():
            sandbox.enter(View([Path(path) for path in order.hide], [Path(path) for path in order.show]))
        status = runner.main([order.uri])
    except BaseException:  # noqa: BLE001 - nothing may get back into the loop of the parent
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(status)


def _detach(output: int) -> None:
    """Leave the parent behind: its session, folder, output and signals."""
    os.setsid()
    os.chdir("/")
    for stream in (1, 2):
        os.dup2(output, stream)
    os.close(output)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    random.seed()


def _has_children() -> bool:
    """Whether a job of ours runs; takes the exit status of those that have ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        return True
    return False


def _is_there(address: Path, inode: int) -> bool:
    try:
        return address.stat().st_ino == inode
    except FileNotFoundError:
        return False


def _threads() -> int:
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - their number is all that is wanted
    except OSError:
        return 1


if __name__ == "__main__":
    main(sys.argv[1:])
