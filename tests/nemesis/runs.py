"""Runs of studies: as many at a time as there are DAGs, one after another, until told to close."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from hpo_tasks.study.identity import study_id
from tests.flow.airflow_under_test import FINAL, AirflowUnderTest

LOOK_S = 3.0
CALL_S = 30.0
CONFLICT = 409


@dataclass(slots=True)
class Run:
    """One run of a study's DAG. Moments are Unix seconds; `state` is empty until it is over."""

    dag_id: str
    run_id: str
    study: str
    began: float
    ended: float = 0.0
    state: str = ""


class Runs:
    """Keeps a run of each DAG going, in a thread of its own, through every outage of the API server.

    Attributes:
        done: runs that are over.
        going: the others, by DAG.
    """

    def __init__(self, airflow: AirflowUnderTest, dags: Sequence[str], say: Callable[[str], None]) -> None:
        self.done: list[Run] = []
        self.going: dict[str, Run] = {}
        self._airflow = airflow
        self._dags = list(dags)
        self._say = say
        self._closing = threading.Event()
        self._giving_up = threading.Event()
        self._thread = threading.Thread(target=self._keep_going, name="runs")

    def start(self) -> None:
        self._thread.start()

    def close(self, timeout_s: float) -> None:
        """Start no more; wait until those that are going are over, but no longer than so."""
        self._closing.set()
        self._thread.join(timeout_s)
        self._giving_up.set()
        self._thread.join()

    def _keep_going(self) -> None:
        number = 0
        while not self._giving_up.wait(LOOK_S) and (self.going or not self._closing.is_set()):
            for dag_id in self._dags:
                run = self.going.get(dag_id)
                if run is not None:
                    self._look(run)
                elif not self._closing.is_set():
                    number += 1
                    self._begin(dag_id, f"nemesis-{number}")

    def _begin(self, dag_id: str, run_id: str) -> None:
        body = {"dag_run_id": run_id, "logical_date": None, "conf": {}}
        began = time.time()
        reply = self._call("POST", f"/dags/{dag_id}/dagRuns", body)
        if reply is not None and reply.is_client_error and reply.status_code != CONFLICT:
            self._say(f"{dag_id} cannot be started: {reply.status_code} {reply.text}")
        elif reply is not None and not reply.is_server_error:
            study = study_id(self._airflow.deployment, dag_id, run_id, 0)
            self.going[dag_id] = Run(dag_id, run_id, study, began)

    def _look(self, run: Run) -> None:
        reply = self._call("GET", f"/dags/{run.dag_id}/dagRuns/{run.run_id}")
        if reply is not None and reply.is_success and (state := reply.json()["state"]) in FINAL:
            run.state, run.ended = state, time.time()
            self.done.append(run)
            del self.going[run.dag_id]
            self._say(f"{run.dag_id} {run.run_id} {state} after {run.ended - run.began:.0f} s")

    def _call(self, method: str, path: str, body: Any = None) -> httpx.Response | None:
        """The server's answer; None if there is none just now."""
        http = self._airflow.http  # another one after each start of Airflow
        try:
            url = f"{str(http.base_url).rstrip('/')}{path}"
            return httpx.request(method, url, json=body, headers=http.headers, timeout=CALL_S)
        except httpx.HTTPError:
            return None
