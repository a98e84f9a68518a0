"""What the parent of Airflow's task processes has loaded, and what the embedded Airflow's database promises."""

import sqlite3
import subprocess
import sys

import pytest

from hpo_tasks.flow.embedded.home import LOCAL_SETTINGS
from hpo_tasks.flow.preload import MODULES


def loaded_by(*command: str) -> set[str]:
    """Those of the modules that a process of this `airflow` command has after its start."""
    code = (
        "import sys\nfrom hpo_tasks.flow.preload import MODULES, preload_tasks\n"
        "preload_tasks()\nprint(*(name for name in MODULES if name in sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command], capture_output=True, text=True, check=True, timeout=120
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("command", [("scheduler",), ("celery", "worker")])
def test_processes_that_tasks_are_forked_from_have_everything_loaded(command):
    assert loaded_by(*command) == set(MODULES)


def test_other_processes_of_airflow_are_left_as_they_were():
    assert not loaded_by("api-server")


def test_only_airflows_own_database_is_relaxed(tmp_path, monkeypatch):
    """The study database waits for the disk at every commit."""
    code = LOCAL_SETTINGS + (
        "import sys, sqlalchemy\n"
        "for name in sys.argv[1:]:\n"
        "    with sqlalchemy.create_engine('sqlite:///' + name).connect() as connection:\n"
        "        print(connection.exec_driver_sql('PRAGMA synchronous').scalar())\n"
    )
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    files = [str(tmp_path / name) for name in ("airflow.db", "studies.db")]
    done = subprocess.run(
        [sys.executable, "-c", code, *files], capture_output=True, text=True, check=True, timeout=60
    )
    normal, full = 1, 2
    assert done.stdout.split() == [str(normal), str(full)]
    assert sqlite3.connect(":memory:").execute("PRAGMA synchronous").fetchone() == (full,)
