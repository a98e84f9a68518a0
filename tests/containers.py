"""Services as plain processes that die like containers: killed, they take everything with them that they started.

Where the kernel lets us, each has process and host name namespaces of its own; else a process that adopts its orphans.
"""

import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import psutil

INIT = Path(__file__).with_name("container_init.py")
NAMESPACES = ["unshare", "--uts", "--pid", "--mount-proc", "--fork", "--kill-child"]
RESTART_PAUSE_S = 1.0


@cache
def namespaces_available() -> bool:
    """Whether this kernel lets this user make process and host name namespaces."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*NAMESPACES, "true"], capture_output=True, check=False).returncode == 0


@dataclass
class Container:
    """One container.

    Attributes:
        name: its host name, and the name of its log.
        command, environment, folder: what it runs, with which whole environment, and where.
        log: file for its output.
        restarts: whether a `Restarter` starts it again when it has ended.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    log: Path
    restarts: bool = True
    _outer: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Start it; what is left of the last start must be gone."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._outer = subprocess.Popen(
                self._wrapped(self.command),
                env=dict(self.environment),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a command to its end as `docker compose run` would: same environment and host name."""
        return subprocess.run(
            self._wrapped(command),
            env=dict(self.environment),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def ended(self) -> bool:
        return self._outer is None or self._outer.poll() is not None

    def main_process(self) -> psutil.Process | None:
        """The process that the command became; None while there is none."""
        init = self._init()
        children = [] if init is None else _children(init)
        return min(children, key=psutil.Process.create_time, default=None)

    def processes(self) -> list[psutil.Process]:
        """All that live in it."""
        init = self._init()
        return [] if init is None else _children(init, recursive=True)

    def kill(self) -> None:
        """Kill everything in it at once; returns when all of it is gone."""
        if self._outer is None:
            return
        victims = self.processes()
        if not namespaces_available():  # else they die with their process 1, and that one with us
            while remaining := self.processes():
                for process in remaining:
                    with suppress(psutil.NoSuchProcess):
                        process.kill()
                psutil.wait_procs(remaining, timeout=5)
        self._outer.kill()
        self._outer.wait()
        psutil.wait_procs(victims, timeout=10)

    def _init(self) -> psutil.Process | None:
        if self.ended:
            return None
        with suppress(psutil.NoSuchProcess):
            outer = psutil.Process(self._outer.pid)
            return next((process for process in [outer, *_children(outer)] if _is_init(process)), None)
        return None

    def _wrapped(self, command: Sequence[str]) -> list[str]:
        """The command under process 1; all of it dies with the process that started it."""
        init = [sys.executable, str(INIT)]
        if namespaces_available():
            return ["setpriv", "--pdeathsig=KILL", *NAMESPACES, *init, self.name, *command]
        return ["setpriv", "--pdeathsig=TERM", *init, "", *command]


class Restarter:
    """Starts containers again that have ended, as `restart: unless-stopped` does."""

    def __init__(self, containers: Sequence[Container]) -> None:
        self._containers = containers
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="restarter")
        self._thread.start()

    def stop(self) -> None:
        """Start nothing any more."""
        self._stopping.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.wait(RESTART_PAUSE_S):
            for container in self._containers:
                if container.restarts and container.ended and not self._stopping.is_set():
                    container.start()


def _children(process: psutil.Process, *, recursive: bool = False) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return process.children(recursive=recursive)
    return []


def _is_init(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.cmdline()[1:2] == [str(INIT)]
    return False
