"""The processes of this host, read from /proc. Where there is none (macOS), they are unknown and lists are empty.

Read with os.* and plain strings, not pathlib: this runs five times a second beside somebody's training.
"""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True)
class Process:
    """One line of /proc/<pid>/stat: parent, state (`Z` = dead, not yet reaped), resident memory in bytes."""

    pid: int
    parent: int
    state: str
    resident_bytes: int


def adopt_orphans() -> None:
    """Make this process the parent of all descendants whose own parent dies, so that none escapes (Linux).

    As PID 1 of its namespace it is that anyway.
    """
    if os.getpid() != 1:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Let the kernel kill this process when the thread that started it ends (Linux)."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    import ctypes  # noqa: PLC0415 - costs some milliseconds that PID 1 does not need to spend

    with suppress(OSError, AttributeError):  # not Linux
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def running() -> dict[int, Process]:
    """All processes that this one can see, by pid; dead ones that nobody reaped are left out."""
    page = os.sysconf("SC_PAGE_SIZE")
    found = {}
    for pid in _pids():
        with suppress(OSError, ValueError, IndexError):
            # The name, in parentheses, may hold anything: what is wanted comes after the last parenthesis.
            fields = _read(pid, "stat").rpartition(b")")[2].split()
            process = Process(pid, int(fields[1]), fields[0].decode(), int(fields[21]) * page)
            if process.state not in "ZX":
                found[pid] = process
    return found


def descendants(ancestor: int) -> list[Process]:
    """All living descendants of a process; of PID 1, everything else in its namespace."""
    everything = running()
    if ancestor == 1:
        return [process for process in everything.values() if process.pid != 1]
    below: dict[int, bool] = {ancestor: True}

    def is_below(pid: int) -> bool:
        if pid not in below:
            process = everything.get(pid)
            below[pid] = False  # so that a loop, which pids reused between two reads can make, ends
            below[pid] = process is not None and is_below(process.parent)
        return below[pid]

    return [process for process in everything.values() if process.pid != ancestor and is_below(process.pid)]


def kill_all(
    targets: Callable[[], list[int]], *, patience_s: float, reap: Callable[[], None] = lambda: None
) -> bool:
    """Send SIGKILL to `targets()` again and again until it is empty: a target may have forked meanwhile.

    Returns:
        Whether all are dead. A process that hangs in the kernel may outlive `patience_s`.
    """
    deadline = time.monotonic() + patience_s
    while pids := targets():
        for pid in pids:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        reap()
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def kill_descendants(*, patience_s: float, reap: Callable[[], None]) -> bool:
    """Kill everything below this process; returns and waits as `kill_all`."""
    me = os.getpid()

    def left() -> list[int]:
        pids = [process.pid for process in descendants(me)]
        # To PID 1 the kernel offers all others of the namespace at once: nothing can fork faster than that.
        return [-1] if me == 1 and pids else pids

    return kill_all(left, patience_s=patience_s, reap=reap)


def holders(path: Path) -> list[int]:
    """Processes that have this very file open. Identifies processes without trusting a stored pid."""
    try:
        wanted = path.stat()
    except FileNotFoundError:
        return []
    return [pid for pid in _pids() if _has_open(pid, wanted)]


def with_variable(name: str, value: str) -> list[int]:
    """Living processes that were started with this environment variable."""
    wanted = f"{name}={value}".encode()
    found = []
    for pid in _pids():
        with suppress(OSError):
            if wanted in _read(pid, "environ").split(b"\0"):
                found.append(pid)
    return found


def _has_open(pid: int, wanted: os.stat_result) -> bool:
    folder = f"/proc/{pid}/fd"
    try:
        descriptors = os.listdir(folder)  # noqa: PTH208 - see above
    except OSError:  # gone, or another user's
        return False
    for descriptor in descriptors:
        with suppress(OSError):
            if os.path.samestat(os.stat(f"{folder}/{descriptor}"), wanted):  # noqa: PTH116
                return True
    return False


def _pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
    except OSError:
        return []


def _read(pid: int, name: str) -> bytes:
    with open(f"/proc/{pid}/{name}", "rb") as file:  # noqa: PTH123
        return file.read()
