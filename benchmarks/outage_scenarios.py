"""What is lost, and how, for `outages.py`: each scenario starts an Airflow, breaks one thing, and mends it again."""

import json
import os
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fault_proxy import Fault, FaultProxy
from postgres_server import PostgresServer
from s3_server import ACCESS_KEY, SECRET_KEY, S3Server

from hpo_tasks.flow.embedded.control import StartError, is_held
from hpo_tasks.flow.embedded.home import Home
from hpo_tasks.study.identity import study_id
from hpo_tasks.study.ledger import Ledger
from tests.flow.airflow_under_test import FINAL, merge, until
from tests.flow.embedded_airflow import EmbeddedAirflow

ROUNDS, BATCH = 4, 6
DAG = "hpo_outage"
WRONG_CLOCK = Path(__file__).with_name("programs") / "wrong_clock.c"
PATIENCE_S = 2400.0
"""Longest wait for the end of a run after the outage."""


@dataclass(frozen=True)
class HomeWithDatabase(Home):
    """An embedded home whose studies lie in another database."""

    url: str

    @property
    def study_db(self) -> str:
        return self.url


@dataclass
class Outage:
    """A running study whose surroundings break.

    Attributes:
        folder: of this run alone.
        seconds: how long it lasts.
        airflow: not started yet; a scenario may put its own settings first.
        study: changes to the study file.
    """

    folder: Path
    seconds: float
    airflow: EmbeddedAirflow = field(init=False)
    study: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.airflow = EmbeddedAirflow(self.folder)
        self.airflow.home.create()

    def use_database(self, url: str) -> None:
        """Let the studies lie there instead of in the home's SQLite file."""
        self.airflow.home = HomeWithDatabase(self.airflow.home.root, url)

    def run(self, broken: AbstractContextManager[None], *, clear_after: bool = False) -> dict[str, Any]:
        """Start a study, hold it in the outage, wait for its end; what was seen.

        Args:
            broken: breaks at its start and mends at its end.
            clear_after: the run is expected to fail with a message; a person clears it when all is well again.
        """
        airflow = self.airflow
        work = {"SECONDS_OF_WORK": "4"}
        plain = {"batch_size": BATCH, "budget": {"trials": ROUNDS * BATCH}, "trial": {"env": work}}
        airflow.write("outage", **merge(plain, self.study))
        try:
            _start(airflow)
            airflow.wait_for_dag(DAG)
            run_id = airflow.trigger(DAG)
            study = study_id("embedded", DAG, run_id, 0)
            until(lambda: _count(airflow, study, "end") >= BATCH // 2, timeout_s=900, what="trained trials")
            until(airflow.trials, what="a running trial")
            with broken:
                _let_pass(self.seconds)
            mended = time.monotonic()
            states = [self._finish(run_id)]
            if clear_after and states == ["failed"]:
                airflow.clear(DAG, run_id)
                until(lambda: airflow.run(DAG, run_id)["state"] not in FINAL, what="the cleared run to start")
                mended = time.monotonic()
                states.append(self._finish(run_id))
            until(lambda: not airflow.trials(), what="every trial process to be gone")
            return self._seen(run_id, study, states, round(time.monotonic() - mended))
        finally:
            airflow.stop()

    def _finish(self, run_id: str) -> str:
        """State at the run's end. The API server may have been away, so a failed look is no answer."""

        def state() -> str | None:
            with suppress(Exception):
                found = str(self.airflow.run(DAG, run_id)["state"])
                return found if found in FINAL else None
            return None

        return str(until(state, timeout_s=PATIENCE_S, what="the end of the run"))

    def _seen(self, run_id: str, study: str, states: list[str], completed_after_s: int) -> dict[str, Any]:
        trials = Ledger(self.airflow.home.study_db).trials(study)
        keys = [(trial.round, trial.slot) for trial in trials]
        starts = _count(self.airflow, study, "start")
        wanted = [(round_, slot) for round_ in range(ROUNDS) for slot in range(BATCH)]
        all_complete = {trial.state for trial in trials} == {"complete"}
        messages, tracebacks = self._messages(run_id)
        return {
            "outage_s": self.seconds,
            "passed": states[-1] == "success" and sorted(keys) == wanted and all_complete and not tracebacks,
            "run_states": states,
            "completed_after_s": completed_after_s,
            "recorded": len(keys),
            "recorded_states": dict(Counter(trial.state for trial in trials)),
            "trained_again": starts - len(wanted),
            "messages": messages,
            "tracebacks": tracebacks,
        }

    def _messages(self, run_id: str) -> tuple[dict[str, int], int]:
        """What the tasks' logs say at level error, each with its number, and how many of them have a traceback."""
        said: Counter[str] = Counter()
        tracebacks = 0
        for (task, index), row in self.airflow.tasks(DAG, run_id).items():
            for number in range(1, row["try_number"] + 1):
                for entry in _log(self.airflow, run_id, task, index, number):
                    if entry.get("level") == "error":
                        said[_shortened(str(entry["event"]), self.folder)] += 1
                        tracebacks += bool(entry.get("error_detail")) and "hpo_tasks" in json.dumps(entry)
        return dict(said.most_common(12)), tracebacks


def _start(airflow: EmbeddedAirflow) -> None:
    """Start it, on a machine that is busy with other Airflows too."""
    for left in (2, 1, 0):
        try:
            airflow.start()
        except StartError:
            if not left or not is_held(airflow.home.lock):
                raise
        else:
            return


def _count(airflow: EmbeddedAirflow, study: str, event: str) -> int:
    return sum(line["event"] == event and line["HPO_STUDY"] == study for line in airflow.trained())


def _log(
    airflow: EmbeddedAirflow, run_id: str, task: str, index: int, number: int
) -> list[Mapping[str, Any]]:
    path = f"/dags/{DAG}/dagRuns/{run_id}/taskInstances/{task}/logs/{number}"
    reply = airflow.http.get(path, params={"map_index": index}, headers={"Accept": "application/json"})
    return list(reply.json()["content"]) if reply.status_code == 200 else []


def _shortened(text: str, folder: Path) -> str:
    """Without what differs from run to run."""
    return text.replace(str(folder), "")[:200]


def _let_pass(seconds: float) -> None:
    """An outage is a length of time: there is no condition to wait for."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 1.0))


# Ways to break things.


@contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path]:
    """A small file system at the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "none", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """No byte is free there."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1):
            with suppress(OSError):
                while True:
                    file.write(b"x" * size)
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def read_only_mount(folder: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)


@contextmanager
def stopped(server: PostgresServer) -> Iterator[None]:
    server.crash()
    try:
        yield
    finally:
        server.start_again()


@contextmanager
def unreachable(proxy: FaultProxy) -> Iterator[None]:
    """Every connection is reset before the server sees the request."""
    proxy.choose = lambda method: Fault("drop", method)
    try:
        yield
    finally:
        proxy.reset()


@contextmanager
def suspended(airflow: EmbeddedAirflow, name: str) -> Iterator[None]:
    """The part neither answers nor ends, so that the supervisor does not start another."""
    part = airflow.part(name)
    part.suspend()
    try:
        yield
    finally:
        part.resume()


# Scenarios.


def study_database(folder: Path, seconds: float) -> dict[str, Any]:
    """PostgreSQL is killed and stays away."""
    outage = Outage(folder, seconds)
    server = PostgresServer().start()
    try:
        outage.use_database(server.create_database("studies"))
        return outage.run(stopped(server))
    finally:
        server.stop()


def study_database_full(folder: Path, seconds: float) -> dict[str, Any]:
    """PostgreSQL's disk is full; a server that died of it is started again when there is space."""
    outage = Outage(folder, seconds)
    server = PostgresServer()
    with mounted(server.folder, "160m"):
        server.own_folder()
        server.start()
        try:
            outage.use_database(server.create_database("studies"))

            @contextmanager
            def full() -> Iterator[None]:
                with filled(server.folder):
                    yield
                server.start_again()

            return outage.run(full())
        finally:
            server.stop(keep_folder=True)


def store(folder: Path, seconds: float) -> dict[str, Any]:
    """The S3 server does not answer."""
    server = S3Server()
    proxy = FaultProxy(server.endpoint)
    outage = Outage(folder, seconds)
    outage.study = {"store": {"uri": f"s3://{server.new_bucket()}/hpo", "connection": "hpo_s3"}}
    extra = {"endpoint_url": proxy.endpoint, "region_name": "us-east-1"}
    connection = {"conn_type": "aws", "login": ACCESS_KEY, "password": SECRET_KEY, "extra": extra}
    os.environ["AIRFLOW_CONN_HPO_S3"] = json.dumps(connection)
    try:
        return outage.run(unreachable(proxy))
    finally:
        proxy.close()
        server.kill()


def store_full(folder: Path, seconds: float) -> dict[str, Any]:
    """The store folder's disk is full."""
    outage = Outage(folder, seconds)
    with mounted(outage.airflow.home.store, "16m") as small:
        return outage.run(filled(small))


def store_read_only(folder: Path, seconds: float) -> dict[str, Any]:
    """The store folder's file system has turned read-only: the run fails, and a person clears it afterwards."""
    outage = Outage(folder, min(seconds, 60.0))  # it fails at once
    with mounted(outage.airflow.home.store, "16m") as small:
        return outage.run(read_only_mount(small), clear_after=True)


def scratch_full(folder: Path, seconds: float) -> dict[str, Any]:
    """The disk on which trials work is full."""
    outage = Outage(folder, seconds)
    with mounted(outage.airflow.home.jobs, "64m") as small:
        return outage.run(filled(small))


def api_server(folder: Path, seconds: float) -> dict[str, Any]:
    """Airflow's API server hangs: no task can report, ask for its connections, or send a heartbeat."""
    outage = Outage(folder, seconds)

    @contextmanager
    def hanging() -> Iterator[None]:
        with suspended(outage.airflow, "api-server"):
            yield

    return outage.run(hanging())


def clock_forwards(folder: Path, seconds: float) -> dict[str, Any]:
    """The clock of all of Airflow is set an hour ahead for a while; that of every trial is wrong all the time."""
    return _clock(folder, seconds, 3600)


def clock_backwards(folder: Path, seconds: float) -> dict[str, Any]:
    """The clock of all of Airflow is set an hour back for a while."""
    return _clock(folder, seconds, -3600)


def _clock(folder: Path, seconds: float, offset_s: int) -> dict[str, Any]:
    outage = Outage(folder, min(seconds, 120.0))  # what counts is the jump, there and back
    library, airflows, trials = (str(folder / name) for name in ("clock.so", "clock", "clock-of-trials"))
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, WRONG_CLOCK, "-ldl"], check=True)
    set_clock(airflows, 0)
    set_clock(trials, offset_s)
    outage.study = {
        "trial": {
            "command": [
                "env", f"LD_PRELOAD={library}", f"CLOCK_OFFSET_FILE={trials}", sys.executable, "train.py"
            ]
        },
        "budget": {"wall_clock": "3h"},  # on SQLite the jump counts: docs/reliability.md
    }  # fmt: skip
    os.environ.update(LD_PRELOAD=library, CLOCK_OFFSET_FILE=airflows)

    @contextmanager
    def wrong() -> Iterator[None]:
        set_clock(airflows, offset_s)
        try:
            yield
        finally:
            set_clock(airflows, 0)

    return outage.run(wrong())


def set_clock(file: str, offset_s: int) -> None:
    """Move the time of day of all processes that have this file as $CLOCK_OFFSET_FILE; in place, because they map it."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT, 0o644)
    os.pwrite(handle, struct.pack("l", offset_s), 0)
    os.close(handle)


SCENARIOS: Mapping[str, Callable[[Path, float], dict[str, Any]]] = {
    function.__name__: function
    for function in (
        study_database,
        store,
        api_server,
        study_database_full,
        store_full,
        scratch_full,
        store_read_only,
        clock_forwards,
        clock_backwards,
    )
}
