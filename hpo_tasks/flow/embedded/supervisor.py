"""Starts Airflow's parts, starts a dead one again, and ends them all. One process per HPO_HOME.

`python -m hpo_tasks.flow.embedded.supervisor PORT` with the environment of `home.airflow_environment`.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import IO

from hpo_tasks.flow.embedded.executor_workers import ExecutorWorkers
from hpo_tasks.flow.embedded.home import POOL, Home, embedded_home, pool_slots
from hpo_tasks.flow.embedded.sessions import Session, beginning, kill, read_sessions, write_sessions
from hpo_tasks.flow.embedded.study_watch import StudyWatch

SCHEDULER = "scheduler"
PARTS = {
    "api-server": ["airflow", "api-server"],
    SCHEDULER: ["airflow", "scheduler", "--skip-serve-logs"],
    "dag-processor": ["airflow", "dag-processor"],
    "triggerer": ["airflow", "triggerer", "--skip-serve-logs"],
}
GRACE_S = 10.0
TRIAL_GRACE_S = 10.0
RESTART_PAUSE_S = 1.0
LOOK_AROUND_S = 1.0
_PR_SET_PDEATHSIG = 1


@dataclass
class Part:
    """One running part of Airflow, which leads a session of its own."""

    session: Session
    process: subprocess.Popen[bytes]


@dataclass
class Supervisor:
    """Keeps the parts running until told to stop."""

    home: Home
    port: int
    parts: dict[str, Part] = field(default_factory=dict)
    stopping: bool = False
    _workers: ExecutorWorkers | None = None
    _next_look: float = 0.0

    def run(self) -> None:
        """Prepare the database, start everything, watch until SIGTERM or SIGINT, end everything."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        self.home.state.unlink(missing_ok=True)  # of a supervisor that was killed: its port is not ours
        for session in read_sessions(self.home.parts):  # of a supervisor that was killed
            kill(session)
        try:
            self._set_up_once()
            for name in PARTS:
                self._start(name)
            self._watch()
        finally:
            self._end()

    def _set_up_once(self) -> None:
        """Create or upgrade Airflow's database and our pool; again only for another version or machine."""
        done = self.home.airflow / "set-up.json"
        wanted = json.dumps({"airflow": metadata.version("apache-airflow"), "pool": pool_slots()})
        if done.exists() and done.read_text() == wanted:
            return
        self._airflow("db", "migrate")
        self._airflow("pools", "set", POOL, str(pool_slots()), "train tasks of local trials")
        done.write_text(wanted)

    def _airflow(self, *arguments: str) -> None:
        with self._log("setup") as log:
            done = subprocess.run(["airflow", *arguments], stdout=log, stderr=log, check=False)
        if done.returncode != 0:
            raise SystemExit(f"airflow {arguments[0]} failed: see {self.home.airflow / 'logs' / 'setup.log'}")

    def _start(self, name: str) -> None:
        with self._log(name) as log:
            process = subprocess.Popen(
                PARTS[name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - this process has no threads
            )
        self.parts[name] = Part(Session(name, process.pid, beginning(process.pid)), process)
        if name == SCHEDULER:
            self._workers = ExecutorWorkers(process.pid)
        write_sessions(self.home.parts, [part.session for part in self.parts.values()])

    def _watch(self) -> None:
        ready = False
        studies = StudyWatch(Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]))
        while not self.stopping:
            if look_around := time.monotonic() > self._next_look:
                self._next_look = time.monotonic() + LOOK_AROUND_S
                studies.look()
            for part in list(self.parts.values()):
                if (problem := self._problem(part, look_around)) and not self.stopping:
                    name = part.session.name
                    self._log_line(f"{name} {problem}: starting it again")
                    kill(part.session)
                    part.process.wait()
                    time.sleep(RESTART_PAUSE_S)
                    self._start(name)
            if not ready and answers(self.port):
                ready = True
                _write_state(self.home, self.port)
            time.sleep(0.2)

    def _problem(self, part: Part, look_around: bool) -> str | None:  # noqa: FBT001 - the loop's own
        """Why the part has to be started again; None if it has not."""
        if part.process.poll() is not None:
            return f"ended with {part.process.returncode}"
        if look_around and part.session.name == SCHEDULER and self._workers and self._workers.lost_one():
            return "lost a worker of its executor"
        return None

    def _end(self) -> None:
        self.home.state.unlink(missing_ok=True)
        for part in self.parts.values():
            if part.process.poll() is None:
                part.process.terminate()
        deadline = time.monotonic() + GRACE_S
        for part in self.parts.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                part.process.wait(max(0.1, deadline - time.monotonic()))
        for part in self.parts.values():
            kill(part.session)
        end_trials(self.home)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.stopping = True

    @contextlib.contextmanager
    def _log(self, name: str) -> Iterator[IO[bytes]]:
        with (self.home.airflow / "logs" / f"{name}.log").open("ab") as log:
            yield log

    def _log_line(self, text: str) -> None:
        with self._log("supervisor") as log:
            log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {text}\n".encode())


def end_trials(home: Home) -> None:
    """End the local trials of this home: TERM, grace, KILL. Their tasks are dead; the next start goes on from checkpoints.

    Not when the supervisor was killed: then the next start adopts them.
    """
    from hpo_tasks.backends.job_start import end_parents
    from hpo_tasks.backends.local import LocalBackend

    backend = LocalBackend(home.store, home.jobs)
    jobs = backend.running()
    with ThreadPoolExecutor(max(1, len(jobs))) as pool:
        ended = [pool.submit(backend.stop, job, grace_s=TRIAL_GRACE_S) for job in jobs]
    end_parents(home.jobs / "parents")
    for each in ended:
        each.result()


def answers(port: int) -> bool:
    """Whether Airflow's API server answers and knows a live scheduler."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v2/monitor/health", timeout=2) as reply:
            health = json.load(reply)
        return all(health[name]["status"] == "healthy" for name in ("scheduler", "dag_processor"))
    except (OSError, ValueError, LookupError, TypeError):  # nobody there, or somebody else
        return False


def _write_state(home: Home, port: int) -> None:
    temporary = home.state.with_suffix(".tmp")
    temporary.write_text(json.dumps({"pid": os.getpid(), "port": port}))
    temporary.replace(home.state)


def _die_with_parent() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _take(lock: IO[str]) -> bool:
    """Take the lock; patient for a moment, because looking whether it is held takes it as well."""
    for _ in range(20):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.1)
        else:
            return True
    return False


def main() -> None:
    home = embedded_home()
    with home.lock.open("a") as lock:
        if not _take(lock):
            return
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        Supervisor(home, int(sys.argv[1])).run()


if __name__ == "__main__":
    main()
