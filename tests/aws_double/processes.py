"""A process tree that dies as a container does: when its process 1 ends, or this server does, nothing of it is left.

Where the kernel lets us, each has a process namespace of its own, so that its main process is process 1: it gets only
the signals that it handles. `light` leaves that out: one plain process per job, for a thousand jobs at a time.
"""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

# "Us": the thread that starts it, which is why `run` waits too.
DIES_WITH_US = ["setpriv", "--pdeathsig", "KILL", "--"]
# Not unshare's own --fork: 2.38 loses the exit code of a child that was killed, and writes into its output.
NAMESPACES = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "sh", "-c"]
# The first child is process 1 of the new namespace. The shell's own words ("Killed") are nobody's output.
OUTSIDE = 'exec 3>&2 2>/dev/null; (exec setpriv --pdeathsig KILL -- sh -c "$@" 2>&3 3>&-); exit $?'
# Binds folders at places of the container's own file tree, such as /opt/ml, which this machine need not have: a place
# is made in a new /opt (say) with everything that the old one has. $1: number of binds, then pairs of source, place.
INSIDE = """
set -e
mount -t proc proc /proc
count=$1; shift
while [ "$count" -gt 0 ]; do
    source=$1; place=$2; shift 2; count=$((count - 1))
    parent=$(dirname "$place")
    if [ ! -d "$place" ]; then
        old=/mnt  # out of the way, and of no use to a container
        mount --rbind "$parent" "$old"
        mount -t tmpfs tmpfs "$parent"
        for entry in "$old"/*; do
            name=$(basename "$entry")
            if [ -L "$entry" ]; then cp -P "$entry" "$parent/$name"
            elif [ -d "$entry" ]; then mkdir "$parent/$name"; mount --rbind "$entry" "$parent/$name"
            elif [ -e "$entry" ]; then touch "$parent/$name"; mount --bind "$entry" "$parent/$name"
            fi
        done
        mkdir "$place"
    fi
    mount --bind "$source" "$place"
done
exec "$@"
"""
ENTER = 'cd "$1" && shift && exec "$@"'
CHUNK = 1 << 16

Output = Callable[[list[str]], None]


@cache
def namespaces_available() -> bool:
    """Whether this kernel lets this user make process namespaces."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(_contained(["true"], {}), capture_output=True, check=False).returncode == 0


def _contained(command: Sequence[str], binds: Mapping[str, Path]) -> list[str]:
    """The command as process 1 of new namespaces that die with the thread that starts it."""
    pairs = [str(end) for place, source in binds.items() for end in (source, place)]
    return [*DIES_WITH_US, *NAMESPACES, OUTSIDE, "sh", INSIDE, "sh", str(len(binds)), *pairs, *command]


class ContainerProcess:
    """One command in a container of its own, or beside what runs in another one (`inside`: that one's process 1)."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        on_output: Output,
        *,
        light: bool = False,
        binds: Mapping[str, Path] | None = None,
        inside: int | None = None,
    ) -> None:
        self._command = list(command)
        self._environment = dict(environment)
        self._folder = folder
        self._on_output = on_output
        self._light = light or not namespaces_available()
        self._binds = binds or {}
        self._beside = inside is not None  # what it leaves behind belongs to the other container, and goes on
        self._inside = None if self._light else inside
        self._lock = threading.Lock()
        self._stopped_early = False
        self._process: subprocess.Popen[bytes] | None = None
        self.started = threading.Event()

    def run(self) -> int:
        """Start it and wait for its end. Its exit code, 128 + n after signal n, 137 if it was killed before it started."""
        read_end, write_end = os.pipe()
        try:
            with self._lock:
                if self._stopped_early:
                    return 128 + signal.SIGKILL
                self._process = self._start(write_end)
        finally:
            os.close(write_end)
            if self._process is None:
                os.close(read_end)
        self.started.set()
        try:
            self._forward_output(read_end, self._process)
        finally:
            os.close(read_end)
        if self._light and not self._beside:
            self._kill_group(
                self._process
            )  # before it is reaped: until then nobody else has the group's number
        return exit_code(self._process.wait())

    def stop(self) -> None:
        """Send TERM to the main process only, as a container engine does."""
        with self._lock:
            if self._process is None:
                self._stopped_early = True
                return
            self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Kill all of it at once."""
        with self._lock:
            if self._process is None:
                self._stopped_early = True
                return
            self._send(signal.SIGKILL)

    @property
    def main_pid(self) -> int | None:
        """This machine's number of the main process; None before it has started and after it has ended."""
        process = self._process
        if process is None or process.poll() is not None:
            return None
        return process.pid if self._light else _only_child(process.pid)

    def _start(self, output: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._wrapped(),
            env=self._environment,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )

    def _wrapped(self) -> list[str]:
        if self._light:
            return [*DIES_WITH_US, *self._command]
        if self._inside is not None:
            enter = ["nsenter", "--preserve-credentials", "-t", str(self._inside), "-U", "-p", "-m"]
            return [*DIES_WITH_US, *enter, "--", "sh", "-c", ENTER, "sh", str(self._folder), *self._command]
        return _contained(self._command, self._binds)

    def _send(self, number: signal.Signals) -> None:
        if self._process.poll() is not None:
            return
        if self._light:
            if number == signal.SIGKILL:
                self._kill_group(self._process)
            else:
                self._process.send_signal(number)
            return
        main = _only_child(self._process.pid)
        if self._inside is not None and number == signal.SIGKILL:
            self._kill_group(self._process)
        elif main is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(main, number)
        elif number == signal.SIGKILL:
            self._process.kill()

    def _forward_output(self, read_end: int, process: subprocess.Popen[bytes]) -> None:
        """Hand on whole lines until the main process has ended, even while others hold its output open."""
        os.set_blocking(read_end, False)
        ended = os.pidfd_open(process.pid)
        poll = select.poll()
        poll.register(read_end, select.POLLIN)
        poll.register(ended, select.POLLIN)
        rest = b""
        try:
            while True:
                ready = {descriptor for descriptor, _ in poll.poll()}
                rest, closed = self._drain(read_end, rest)
                if ended in ready:
                    break
                if closed:
                    poll.unregister(read_end)
        finally:
            os.close(ended)
        if rest:
            self._on_output([rest.decode(errors="replace")])

    def _drain(self, read_end: int, rest: bytes) -> tuple[bytes, bool]:
        """What is left of an unfinished line, and whether nobody holds the other end any more."""
        while True:
            try:
                chunk = os.read(read_end, CHUNK)
            except BlockingIOError:
                return rest, False
            if not chunk:
                return rest, True
            *lines, rest = (rest + chunk).split(b"\n")
            if lines:
                self._on_output([line.decode(errors="replace") for line in lines])

    @staticmethod
    def _kill_group(process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def exit_code(returned: int) -> int:
    """An exit code as container engines give it, from one as Popen gives it."""
    return 128 - returned if returned < 0 else returned


def _only_child(pid: int) -> int | None:
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else None
    return None
