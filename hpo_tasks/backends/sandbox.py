"""Namespaces for a job on this host: it sees no other processes, and not the folders it has no business with.

Built from util-linux: `unshare` makes a user, a process and a mount namespace; a fixed script puts an empty folder over
each hidden one; a second `unshare` returns to the user's own id and, because its mount namespace belongs to a lesser
user namespace, locks what was mounted. The job is process 1 of its namespace: when it dies, all that it started dies.

Network, /tmp and everything not hidden are shared with the host. Where the kernel or a container forbids namespaces,
jobs run without ("not isolated").
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

NOISE = "unshare: sigprocmask"
"""What util-linux 2.38 complains of when the job is killed by a signal; it means nothing."""
_PROBE_TIMEOUT_S = 10.0
_SCRIPT = """\
set -eu
mount -t tmpfs -o size=4m,mode=0755 aside /proc/fs
while [ "$1" != -- ]; do
  case "$1" in
    keep) if [ -d "$2" ]; then mkdir "$3"; else : > "$3"; fi; mount --rbind "$2" "$3"; shift ;;
    hide) if [ -d "$2" ]; then mount -t tmpfs -o size=4m,mode=0755 hidden "$2"; else mount --bind /dev/null "$2"; fi ;;
    show) if [ -d "$2" ]; then mkdir -p "$3"; else mkdir -p "${3%/*}"; : > "$3"; fi; mount --rbind "$2" "$3"; shift ;;
  esac
  shift 2
done
shift
umount --lazy /proc/fs
exec "$@"
"""
_ASIDE = "/proc/fs"
"""Where the script keeps what is shown while it covers what is hidden: a folder of our new /proc, so nobody's data."""


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


@cache
def available() -> bool:
    """Whether this kernel lets this user make the namespaces. Tried once per process."""
    if shutil.which("unshare") is None or shutil.which("setpriv") is None:
        return False
    with tempfile.TemporaryDirectory(prefix="hpo-probe-") as folder:
        hidden = Path(folder).resolve() / "hidden"
        hidden.mkdir()
        command = sandboxed(["true"], View(hide=[hidden]))
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_TIMEOUT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0


def sandboxed(argv: Sequence[str], view: View) -> list[str]:
    """The argv that runs `argv` in namespaces of its own, with the view on the host's files."""
    user, group = os.geteuid(), os.getegid()
    return [
        "unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc",
        "sh", "-c", _SCRIPT, "sh", *mounts(view), "--",
        "unshare", "--user", f"--map-user={user}", f"--map-group={group}", "--mount",
        "setpriv", "--no-new-privs", *(["--bounding-set=-all", "--inh-caps=-all"] if user == 0 else []),
        *argv,
    ]  # fmt: skip


def mounts(view: View) -> list[str]:
    """The script's arguments: first keep what is to be shown, then cover and uncover from the outside in."""
    hide = {path.resolve() for path in view.hide if path.exists()}
    show = {path.resolve() for path in view.show if path.exists()} - hide
    kept: list[str] = []
    steps: list[str] = []
    for path in sorted(hide | show):  # a folder comes before what is in it
        nearest = next((parent for parent in path.parents if parent in hide or parent in show), None)
        covered = nearest is not None and nearest in hide
        if path in hide and not covered:
            steps += ["hide", str(path)]
        elif path in show and covered:
            aside = f"{_ASIDE}/{len(kept) // 3}"
            kept += ["keep", str(path), aside]
            steps += ["show", aside, str(path)]
    return kept + steps
