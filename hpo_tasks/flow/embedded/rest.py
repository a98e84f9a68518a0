"""The few calls of Airflow's REST API that the `hpo` command needs, against the embedded Airflow."""

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx

from hpo_tasks.errors import InputError, UnavailableError

UNAUTHORIZED = 401
NOT_FOUND = 404
CONFLICT = 409
LOGIN = "/auth/token"
TOO_SOON = 60.0
PATIENCE_S = 20.0
RETRY_S = 0.5


class AirflowApi:
    """Airflow's REST API v2.

    Raises (all methods):
        UnavailableError: Airflow does not answer.
        InputError: it refuses what was sent; its own message.
    """

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=20.0)
        self._log_in()

    def wait_for_dag(
        self, dag_id: str, *, edited_at: float = 0.0, timeout_s: float = TOO_SOON
    ) -> Mapping[str, Any]:
        """The DAG, once Airflow has parsed it.

        Args:
            dag_id: the DAG.
            edited_at: when its study file was last changed (Unix seconds); an older parse does not count.
            timeout_s: how long to wait.

        Raises:
            InputError: Airflow lists an import error instead, or never saw the DAG.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            dag = self._get(f"/api/v2/dags/{dag_id}")
            if dag is not None and not dag.get("is_stale") and _parsed_at(dag) > edited_at:
                return dag
            time.sleep(0.3)
        errors = self._call("GET", "/api/v2/importErrors")["import_errors"]
        reasons = "\n".join(str(error["stack_trace"]).strip() for error in errors)
        raise InputError(
            f"Airflow has no DAG {dag_id} after {timeout_s:.0f} s. Its import errors: {reasons or 'none'}"
        )

    def unpause(self, dag_id: str) -> None:
        self._call("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": False})

    def trigger(
        self, dag_id: str, run_id: str, conf: Mapping[str, Any], *, interval: tuple[str, str] | None = None
    ) -> bool:
        """Start a run. Repeatable: the caller names the run, so a lost reply does not lead to two.

        Args:
            dag_id: the DAG.
            run_id: a new run's id.
            conf: the trigger form's fields.
            interval: start and end of the data interval (ISO 8601) that the run is for; None: `prepare` takes the last
                complete one.

        Returns: whether there is such a run now; False: another run has that interval already.
        """
        body: dict[str, Any] = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf)}
        if interval is not None:
            start, end = interval
            body |= {"logical_date": start, "data_interval_start": start, "data_interval_end": end}
        created = self._call("POST", f"/api/v2/dags/{dag_id}/dagRuns", body, none_for=CONFLICT)
        return created is not None or self.run(dag_id, run_id) is not None

    def run(self, dag_id: str, run_id: str) -> Mapping[str, Any] | None:
        return self._get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")

    def unfinished_runs(self, dag_id: str) -> list[Mapping[str, Any]]:
        """Queued and running runs of the DAG, newest first."""
        query = f"/api/v2/dags/{dag_id}/dagRuns?state=queued&state=running&order_by=-run_after"
        return list(self._call("GET", query)["dag_runs"])

    def task_instances(self, dag_id: str, run_id: str) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        while True:
            path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=100&offset={len(found)}"
            page = self._call("GET", path)
            found += page["task_instances"]
            if not page["task_instances"] or len(found) >= page["total_entries"]:
                return found

    def log(self, dag_id: str, run_id: str, task: Mapping[str, Any]) -> list[str]:
        """Messages in the log of the newest try of a task, which is one of `task_instances`."""
        return [str(entry["event"]) for entry in self._log(dag_id, run_id, task)]

    def log_errors(self, dag_id: str, run_id: str, task: Mapping[str, Any]) -> list[str]:
        """Those of them that the task logged as errors."""
        entries = self._log(dag_id, run_id, task)
        return [str(entry["event"]) for entry in entries if entry.get("level") in ("error", "critical")]

    def _log(self, dag_id: str, run_id: str, task: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        place = f"map_index={task['map_index']}"
        if "region_id" in task:  # from Airflow 3.4 on; within a loop the map index alone is ambiguous
            place = f"region_id={task['region_id']}&region_index={task['region_index']}"
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task['task_id']}/logs/{task['try_number']}"
        content = self._call("GET", f"{path}?{place}")["content"]
        return [entry if isinstance(entry, Mapping) else {"event": entry} for entry in content]

    def _log_in(self) -> None:
        token = self._call("GET", LOGIN)
        self._client.headers["Authorization"] = f"Bearer {token['access_token']}"

    def _get(self, path: str) -> Mapping[str, Any] | None:
        return self._call("GET", path, none_for=NOT_FOUND)  # type: ignore[no-any-return]

    def _call(self, method: str, path: str, body: Any = None, *, none_for: int | None = None) -> Any:
        reply = self._reply(method, path, body)
        if reply.status_code == UNAUTHORIZED and path != LOGIN:
            self._log_in()  # a token lasts a day, a study may take longer
            reply = self._reply(method, path, body)
        if reply.status_code == none_for:
            return None
        if reply.is_error:
            raise InputError(f"Airflow refuses: {_detail(reply)}")
        return reply.json() if reply.content else None

    def _reply(self, method: str, path: str, body: Any) -> httpx.Response:
        """The server's answer; an outage is waited out, which no call minds: each may be repeated.

        SQLite under load answers 500 (database is locked) now and then.
        """
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                reply = self._client.request(method, path, json=body)
                if not reply.is_server_error:
                    return reply
                problem = f"answers {reply.status_code} to {method} {path}"
            except httpx.HTTPError as error:
                problem = f"does not answer: {error}"
            if time.monotonic() > deadline:
                raise UnavailableError(f"Airflow at {self._client.base_url} {problem}")
            time.sleep(RETRY_S)


def _parsed_at(dag: Mapping[str, Any]) -> float:
    """Unix seconds; 0 if never."""
    text = dag.get("last_parsed_time")
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def _detail(reply: httpx.Response) -> str:
    try:
        detail = reply.json().get("detail", reply.text)
    except ValueError:
        detail = reply.text
    return detail if isinstance(detail, str) else str(detail)
