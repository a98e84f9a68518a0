"""What a test does with an Airflow, whichever way it was started: study files, runs, tasks, logs, the trainer's ledger."""

import json
import sys
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"
FINAL = {"success", "failed"}
CONFLICT = 409
OUTAGE_S = 120.0
"""How long calls go on while the API server is away: the tests kill it, and it takes a while to start."""
SERVER_TIMEOUT_S = 120.0
"""Longer than the 60 s that Airflow waits for SQLite's one writer."""
UNAVAILABLE = (502, 503, 504)


def until(condition: Callable[[], Any], *, timeout_s: float = 180.0, what: str) -> Any:
    """The condition's first true value; an assertion error that names it after the deadline."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"not within {timeout_s:.0f} s: {what}")


class AirflowUnderTest(ABC):
    """DAG files of its own: ours, and the study files that a test writes.

    Attributes:
        deployment: its HPO_DEPLOYMENT.
        dags, studies: the DAGs folder, and the study files in it.
        ledger: file to which the test's trainer appends what it does.
        http: client of Airflow's REST API, logged in; set by `start`.
    """

    deployment: str
    http: httpx.Client

    def __init__(self, root: Path) -> None:
        self.dags = root / "dags"
        self.ledger = root / "ledger.jsonl"
        self.studies = self.dags / "studies"
        self.studies.mkdir(parents=True)
        (root / "plugins").mkdir()
        for file in (ROOT / "dags").glob("*.py"):
            (self.dags / file.name).write_bytes(file.read_bytes())

    # running it

    @property
    @abstractmethod
    def study_db(self) -> str:
        """SQLAlchemy URL of the study database."""

    @abstractmethod
    def start(self) -> None:
        """Start everything; returns when the API server knows a live scheduler."""

    @abstractmethod
    def stop(self) -> None:
        """End everything."""

    @abstractmethod
    def part(self, name: str) -> psutil.Process:
        """The process of one of Airflow's parts; waits for it while it is started again."""

    @abstractmethod
    def processes(self) -> list[psutil.Process]:
        """Every living process of this Airflow, trials included."""

    def trials(self) -> list[psutil.Process]:
        """Processes that run the test's trainer."""
        return [
            process
            for process in psutil.process_iter()
            if environment(process).get("LEDGER") == str(self.ledger)
        ]

    def log_in(self, url: str, token: str) -> None:
        """Open `http` on the API server at this address."""
        self.http = httpx.Client(
            base_url=f"{url}/api/v2",
            timeout=SERVER_TIMEOUT_S,
            transport=PatientTransport(),
            headers={"Authorization": f"Bearer {token}"},
        )

    # studies

    def write(self, stem: str, **changes: Any) -> str:
        """A study file with the ledger-keeping trainer; returns its DAG id."""
        spec = {
            "name": f"Test {stem}",
            "objective": {"metric": "loss", "direction": "minimize"},
            "search": {
                "x": {"type": "float", "low": -1.0, "high": 1.0},
                "y": {"type": "float", "low": -1.0, "high": 1.0},
            },
            "optimizer": {"sampler": "tpe", "seed": 11},
            "batch_size": 4,
            "budget": {"trials": 8},
            "trial": {
                "command": [sys.executable, "train.py"],
                "code": {"dir": str(PROGRAMS)},
                "env": {"LEDGER": str(self.ledger), "SECONDS_OF_WORK": "0.05"},
                "timeout": "2m",
            },
            "backend": {"type": "local", "slots": 2},
        }
        merged = merge(spec, changes)
        (self.studies / f"{stem}.json").write_text(json.dumps(merged))
        return f"hpo_{stem}"

    def follow_asset(self, uri: str) -> None:
        """A DAG of somebody else that is scheduled on an asset: its runs note down what they were told."""
        (self.dags / "downstream.py").write_text(
            "import json, pathlib\n"
            "from airflow.sdk import DAG, Asset, task\n"
            f"best = Asset(name={uri!r}, uri={uri!r})\n"
            "with DAG('downstream', schedule=[best], is_paused_upon_creation=False):\n"
            "    @task\n"
            "    def deploy(triggering_asset_events):\n"
            "        extras = [event.extra for event in triggering_asset_events[best]]\n"
            f"        pathlib.Path({str(self.dags.parent / 'deployed.json')!r}).write_text(json.dumps(extras))\n"
            "    deploy()\n"
        )

    def trained(self) -> list[dict[str, str]]:
        """Lines of the trainer's own ledger."""
        text = self.ledger.read_text() if self.ledger.exists() else ""
        return [json.loads(line) for line in text.splitlines()]

    # Airflow

    def wait_for_dag(self, dag_id: str) -> dict[str, Any]:
        return until(lambda: self._found(f"/dags/{dag_id}"), timeout_s=60, what=f"DAG {dag_id}")

    def trigger(self, dag_id: str, *, status: int = 200, **conf: Any) -> Any:
        """Start a run. Returns its id, or what the server says if it is to answer with another status than 200.

        The run's id is chosen here, so that a call which is repeated after a lost reply starts no second run.
        """
        run_id = f"test__{uuid.uuid4().hex}"
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        reply = self.http.post(f"/dags/{dag_id}/dagRuns", json=body)
        if reply.status_code == CONFLICT and self._found(f"/dags/{dag_id}/dagRuns/{run_id}"):
            return run_id
        assert reply.status_code == status, reply.text
        return run_id if status == 200 else reply.json()["detail"]

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        return self.http.get(f"/dags/{dag_id}/dagRuns/{run_id}").raise_for_status().json()

    def finish(self, dag_id: str, run_id: str, *, timeout_s: float = 240.0) -> str:
        """State of the run once it is over."""
        return until(
            lambda: (state := self.run(dag_id, run_id)["state"]) in FINAL and state,
            timeout_s=timeout_s,
            what=f"end of {dag_id} {run_id}",
        )

    def tasks(self, dag_id: str, run_id: str) -> dict[tuple[str, int], dict[str, Any]]:
        """Task instances by name and map index. Those of a round are named `round_00.ask` whatever their task id is."""
        rows: list[dict[str, Any]] = []
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        while True:
            page = self.http.get(path, params={"limit": 100, "offset": len(rows)}).raise_for_status().json()
            rows += page["task_instances"]
            if len(rows) >= page["total_entries"]:
                break
        iterations = [row["loop_iteration"]["iteration"] for row in rows if row.get("loop_iteration")]
        return {(round_name(row, first=min(iterations, default=0)), row["map_index"]): row for row in rows}

    def log(self, dag_id: str, run_id: str, task_id: str) -> list[str]:
        """Lines of the first try of a task that is in no round."""
        return self._log(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/1", {})

    def log_of(self, task: dict[str, Any]) -> list[str]:
        """Lines of the last try of a row of `tasks`."""
        path = f"/dags/{task['dag_id']}/dagRuns/{task['dag_run_id']}/taskInstances/{task['task_id']}/logs"
        place = ("region_id", "region_index") if "region_id" in task else ("map_index",)
        return self._log(f"{path}/{task['try_number']}", {name: task[name] for name in place})

    def _log(self, path: str, place: dict[str, Any]) -> list[str]:
        reply = self.http.get(path, params=place, headers={"Accept": "application/json"})
        return [str(entry["event"]) for entry in reply.raise_for_status().json()["content"]]

    def clear(self, dag_id: str, run_id: str, *tasks: str | tuple[str, int]) -> None:
        """Clear every task of the run, or the named ones: task id, or task id and map index."""
        body: dict[str, Any] = {
            "dry_run": False,
            "only_failed": False,
            "only_running": False,
            "dag_run_id": run_id,
            "reset_dag_runs": True,
            **(
                {"task_ids": [list(task) if isinstance(task, tuple) else task for task in tasks]}
                if tasks
                else {}
            ),
        }
        self.http.post(f"/dags/{dag_id}/clearTaskInstances", json=body).raise_for_status()

    def _found(self, path: str) -> dict[str, Any] | None:
        reply = self.http.get(path)
        return reply.json() if reply.status_code == 200 else None


class PatientTransport(httpx.HTTPTransport):
    """Repeats calls while the server is not there or too busy to answer. Every call of the tests may be repeated."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        deadline = time.monotonic() + OUTAGE_S
        while True:
            try:
                response = super().handle_request(request)
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
            else:
                if response.status_code not in UNAVAILABLE or time.monotonic() > deadline:
                    return response
                response.close()
            time.sleep(0.5)


def patient_client(url: str) -> httpx.Client:
    """A client of a server that is about to be there, or too busy to answer at once."""
    return httpx.Client(base_url=url, timeout=SERVER_TIMEOUT_S, transport=PatientTransport())


def environment(process: psutil.Process) -> dict[str, str]:
    """A process's environment; empty if it is gone."""
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}


def round_name(row: dict[str, Any], *, first: int) -> str:
    """The task's id; within a loop what it would be if the rounds were unrolled. `first`: number of the first one."""
    if not row.get("loop_iteration"):
        return row["task_id"]
    return f"round_{row['loop_iteration']['iteration'] - first:02d}.{row['task_id'].rpartition('.')[2]}"


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes`; nested mappings are merged, None removes a key."""
    merged = dict(base)
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged
