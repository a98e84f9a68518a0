"""Namespaces for a job on this host: it sees no other processes, and not the folders it has no business with.

The job's process makes a user, a process and a mount namespace, puts an empty folder over each hidden one, and then a
second user and mount namespace, in which it has its own user id again: because that mount namespace belongs to a
lesser user namespace, what was mounted is locked. The job is process 1 of its namespace: when it dies, all that it
started dies.

Network, /tmp and everything not hidden are shared with the host. Where the kernel or a container forbids namespaces,
jobs run without ("not isolated").

System calls by ctypes, in a process that was forked for it and has one thread: the tools of util-linux do the same, but
start some twenty processes for it, in every trial.
"""

import ctypes
import os
import signal
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

_NEWNS, _NEWUSER, _NEWPID = 0x00020000, 0x10000000, 0x20000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 8, 0x1000, 0x4000, 0x40000
_MNT_DETACH = 2
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 24, 38
_CAPABILITY_VERSION = 0x20080522
_TMPFS = "size=4m,mode=0755"
_ASIDE = "/proc/fs"
"""Where what is shown is kept while what is hidden is covered: a folder of our new /proc, so nobody's data."""


@dataclass(frozen=True, slots=True)
class View:
    """What a job sees of the host's files.

    Attributes:
        hide: folders and files that are empty for the job.
        show: what stays visible all the same, inside of hidden folders. The path that is nearest to a file decides;
            at the same path, `hide` does.
    """

    hide: Sequence[Path]
    show: Sequence[Path] = ()


@dataclass(frozen=True, slots=True)
class Mount:
    """One step: `keep` binds `source` aside at `target`, `hide` covers `target`, `show` binds it there again."""

    step: Literal["keep", "hide", "show"]
    target: str
    source: str = ""


@cache
def available() -> bool:
    """Whether this kernel lets this user make the namespaces. Tried once per process, in a child of it."""
    if not hasattr(ctypes.CDLL(None), "unshare"):  # not Linux
        return False
    with tempfile.TemporaryDirectory(prefix="hpo-probe-") as folder:
        child = os.fork()
        if child == 0:
            status = 1
            with suppress(OSError):
                enter(View(hide=[Path(folder)]))
                status = 0
            os._exit(status)
        return os.waitpid(child, 0)[1] == 0


def enter(view: View) -> None:
    """Go on as process 1 of namespaces of its own, with the view on the host's files.

    The caller is a process with one thread. It returns in a child of it; the calling process itself stays behind: it
    waits for that child and ends as it does, and when it is killed the child is.

    Raises:
        OSError: the kernel does not allow it; the process is of no use for anything else then.
    """
    mounts_ = mounts(view)
    user, group = os.geteuid(), os.getegid()
    _call("unshare", _NEWUSER | _NEWNS | _NEWPID)
    _map_ids(inside=(0, 0), outside=(user, group))
    if child := os.fork():
        _stay_behind(child)
    _call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    _mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    _mount("aside", _ASIDE, "tmpfs", 0, _TMPFS)
    for mount in mounts_:
        _apply(mount)
    _call("umount2", _ASIDE.encode(), _MNT_DETACH)
    os.chdir("/")  # the old one may lie below what is hidden now
    _call("unshare", _NEWUSER | _NEWNS)
    _map_ids(inside=(user, group), outside=(0, 0))
    _give_up_powers(user)


def mounts(view: View) -> list[Mount]:
    """The steps: first keep what is to be shown, then cover and uncover from the outside in."""
    hide = {path.resolve() for path in view.hide if path.exists()}
    show = {path.resolve() for path in view.show if path.exists()} - hide
    kept: list[Mount] = []
    steps: list[Mount] = []
    for path in sorted(hide | show):  # a folder comes before what is in it
        nearest = next((parent for parent in path.parents if parent in hide or parent in show), None)
        covered = nearest is not None and nearest in hide
        if path in hide and not covered:
            steps.append(Mount("hide", str(path)))
        elif path in show and covered:
            aside = f"{_ASIDE}/{len(kept)}"
            kept.append(Mount("keep", aside, str(path)))
            steps.append(Mount("show", str(path), aside))
    return kept + steps


def _apply(mount: Mount) -> None:
    target = Path(mount.target)
    if mount.step == "hide":
        if target.is_dir():
            _mount("hidden", mount.target, "tmpfs", 0, _TMPFS)
        else:
            _mount("/dev/null", mount.target, None, _MS_BIND)
        return
    if Path(mount.source).is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    _mount(mount.source, mount.target, None, _MS_BIND | _MS_REC)


def _stay_behind(child: int) -> None:
    """End as the child does, without another word. The child's own death takes everything in its namespace with it."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    _, status = os.waitpid(child, 0)
    os._exit(0 if status == 0 else 1)


def _map_ids(*, inside: tuple[int, int], outside: tuple[int, int]) -> None:
    """Say which user and group this process is in its new user namespace, and in the one around it."""
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{inside[0]} {outside[0]} 1")
    Path("/proc/self/gid_map").write_text(f"{inside[1]} {outside[1]} 1")


def _give_up_powers(user: int) -> None:
    """No program that this process becomes or starts gets more rights than an ordinary one of its user."""
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if user == 0:  # else root would have them again with its next program
        with suppress(OSError):  # EINVAL after the last one that this kernel knows
            for capability in range(64):
                _call("prctl", _PR_CAPBSET_DROP, capability, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    nothing = (ctypes.c_uint32 * 6)()
    _call("capset", header, nothing)


def _mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    _call(
        "mount",
        source.encode(),
        target.encode(),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        options.encode() if options else None,
    )


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
