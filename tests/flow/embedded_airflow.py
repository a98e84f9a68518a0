"""A real embedded Airflow for tests."""

import os
import subprocess
from pathlib import Path

import psutil

from hpo_tasks.flow.embedded import control
from hpo_tasks.flow.embedded.control import is_held
from hpo_tasks.flow.embedded.home import Home, airflow_environment
from hpo_tasks.flow.embedded.sessions import members, read_sessions
from tests.flow.airflow_under_test import AirflowUnderTest, patient_client, until


class EmbeddedAirflow(AirflowUnderTest):
    """One HPO_HOME with DAG files of its own."""

    deployment = "embedded"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.home = Home(root / "home")
        self.port = 0

    @property
    def study_db(self) -> str:
        return self.home.study_db

    def start(self) -> None:
        os.environ["HPO_DAGS"], os.environ["HPO_PORT"] = str(self.dags), "0"
        running = control.start(self.home)
        self.port = running.port
        with patient_client(running.url) as client:
            self.log_in(running.url, client.get("/auth/token").raise_for_status().json()["access_token"])

    def stop(self) -> None:
        control.stop(self.home)

    def supervisor(self) -> psutil.Process:
        return psutil.Process(int(self.home.lock.read_text()))

    def part(self, name: str) -> psutil.Process:
        return until(lambda: self._part(name), timeout_s=30, what=f"a running {name}")

    def _part(self, name: str) -> psutil.Process | None:
        sessions = (session for session in read_sessions(self.home.parts) if session.name == name)
        leaders = (
            process for session in sessions for process in members(session) if process.pid == session.pid
        )
        return next(leaders, None)

    def processes(self) -> list[psutil.Process]:
        """The supervisor, Airflow's parts with all they started, and trials."""
        airflow = [process for session in read_sessions(self.home.parts) for process in members(session)]
        return [*([self.supervisor()] if is_held(self.home.lock) else []), *airflow, *self.trials()]

    def airflow(self, *arguments: str) -> str:
        """The airflow command line with the embedded settings."""
        done = subprocess.run(
            ["airflow", *arguments],
            env=airflow_environment(self.home, self.dags, self.port),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout
