"""Finding, starting and stopping the embedded Airflow, from the `hpo` command's side."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hpo_tasks.errors import HpoError, InputError
from hpo_tasks.flow.embedded.home import Home, airflow_environment, dags_folder
from hpo_tasks.flow.embedded.supervisor import answers

START_TIMEOUT_S = 120.0
DEFAULT_PORT = 8080
MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class Running:
    """A running embedded Airflow."""

    pid: int
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class StartError(HpoError):
    """The embedded Airflow did not start; names the log."""


def find(home: Home) -> Running | None:
    """The embedded Airflow of this home, if it runs and answers."""
    if not is_held(home.lock):
        return None
    try:
        state = json.loads(home.state.read_text())
    except (OSError, ValueError):
        return None
    return Running(state["pid"], state["port"]) if answers(state["port"]) else None


def start(home: Home, *, progress: Callable[[str], None] = lambda _: None) -> Running:
    """Start the embedded Airflow unless it runs; returns when it answers.

    Raises:
        StartError: it ended or did not answer within two minutes.
        InputError: HPO_PORT is no free port, or there is no DAGs folder.
    """
    if (running := find(home)) is not None:
        return running
    home.create()
    supervisor = None
    if not is_held(home.lock):
        port = _port()
        log = home.airflow / "logs" / "supervisor.log"
        with log.open("ab") as output:
            supervisor = subprocess.Popen(
                [sys.executable, "-m", "hpo_tasks.flow.embedded.supervisor", str(port)],
                env=airflow_environment(home, dags_folder(), port),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
    return _wait_until_ready(home, supervisor, progress)


def stop(home: Home, *, grace_s: float = 60.0) -> bool:
    """Stop the embedded Airflow and the trials that it runs. Returns whether one was running.

    A run that was not finished goes on at the next start, its trials from their last checkpoint.
    """
    if not is_held(home.lock):
        return False
    pid = _holder(home)
    if pid is not None:
        with suppress(ProcessLookupError):  # it ended just now
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while is_held(home.lock) and time.monotonic() < deadline:
        time.sleep(0.1)
    if is_held(home.lock):
        raise StartError(f"the embedded Airflow (process {pid}) does not stop; see {home.airflow / 'logs'}")
    return True


def is_held(lock: Path) -> bool:
    """Whether a living process holds this lock file."""
    try:
        with lock.open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _holder(home: Home) -> int | None:
    text = home.lock.read_text().strip()
    return int(text) if text.isdigit() else None


def _wait_until_ready(
    home: Home, supervisor: subprocess.Popen[bytes] | None, progress: Callable[[str], None]
) -> Running:
    """Wait until it answers, but no longer than somebody is starting it. `supervisor`: ours, if it was we who began."""
    began = time.monotonic()
    progress("starting Airflow")
    while time.monotonic() - began < START_TIMEOUT_S:
        if (running := find(home)) is not None:
            return running
        time.sleep(0.2)
        if (supervisor is None or supervisor.poll() is not None) and not is_held(home.lock):
            break  # on a busy machine ours may take a while until it has the lock
    raise StartError(f"the embedded Airflow did not start: see the logs in {home.airflow / 'logs'}")


def _port() -> int:
    wanted = os.environ.get("HPO_PORT")
    if wanted is not None and not (wanted.isdecimal() and int(wanted) <= MAX_PORT):
        raise InputError(f"HPO_PORT: must be a port number (up to {MAX_PORT}), got {wanted!r}")
    for candidate in [int(wanted)] if wanted else [DEFAULT_PORT, 0]:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise InputError(f"HPO_PORT: port {wanted} is in use on 127.0.0.1; choose another")
