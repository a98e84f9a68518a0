"""Starting ledger_worker.py and waiting for what it does, always with a deadline."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
DEADLINE_S = 300.0 + 15.0 * int(os.environ.get("HPO_RACE_ROUNDS", "0"))
POLL_S = 0.02


class Worker(subprocess.Popen):
    """A running worker. What it says goes to a file: a pipe that nobody reads would stop it."""

    def __init__(self, command, environment):
        with tempfile.NamedTemporaryFile("w", prefix="worker-", delete=False) as said:
            super().__init__(command, env=environment, stdin=subprocess.PIPE, stdout=said)
        self._said = Path(said.name)

    def said(self):
        """The lines so far."""
        return [json.loads(line) for line in self._said.read_text().splitlines()]

    def go(self):
        """Let the worker begin; it waits once its ledger is open."""
        self.stdin.write(b"\n")
        self.stdin.close()


def start(*arguments, **environment):
    """Start a worker, which waits for `go`."""
    command = [sys.executable, str(HERE / "ledger_worker.py"), *map(str, arguments)]
    return Worker(
        command, {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path]), **environment}
    )


def run(*arguments, **environment):
    """Start a worker that begins at once."""
    worker = start(*arguments, **environment)
    worker.go()
    return worker


def together(workers):
    """Let all workers begin at the same moment."""
    wait_until(lambda: all(worker.said() for worker in workers), "every worker has opened its ledger")
    for worker in workers:
        worker.go()


def lines(worker):
    """Everything the worker said after `go`, once it has ended well."""
    assert worker.wait(timeout=DEADLINE_S) == 0
    ready, *rest = worker.said()
    assert ready == {"ready": True}
    worker._said.unlink()
    return rest


def wait_until(condition, what):
    """Poll a condition."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {what}"
        time.sleep(POLL_S)


def wait_until_stopped(process):
    """Wait until the worker has stopped itself at its step."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        pid, status = os.waitpid(process.pid, os.WUNTRACED | os.WNOHANG)
        if pid and os.WIFSTOPPED(status):
            return
        assert not pid, f"the worker ended with status {status} before its step"
        time.sleep(POLL_S)
    raise AssertionError("the worker did not get to its step")


def kill(process):
    """SIGKILL by process id, and reap."""
    process.send_signal(signal.SIGKILL)
    process.wait()
    process._said.unlink()
