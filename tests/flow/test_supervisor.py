"""The embedded Airflow's supervisor and its control, without an Airflow."""

import os
import subprocess
import sys

import psutil
import pytest

from hpo_tasks.errors import InputError
from hpo_tasks.flow.embedded import control
from hpo_tasks.flow.embedded.home import Home
from hpo_tasks.flow.embedded.supervisor import MARK, kill_leftovers, mark_of


@pytest.fixture
def part_of():
    """Starts a process that bears the mark of a home's scheduler."""
    started = []

    def start(home):
        code = "import sys; print(flush=True); sys.stdin.read()"
        environment = {**os.environ, MARK: f"{mark_of(home)}scheduler:1"}
        process = subprocess.Popen(
            [sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        process.stdout.readline()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_another_home_with_a_longer_name_lives_on(part_of, tmp_path):
    """`.hpo-test` is not `.hpo`."""
    mine, other = part_of(Home(tmp_path / ".hpo")), part_of(Home(tmp_path / ".hpo-test"))
    kill_leftovers(mark_of(Home(tmp_path / ".hpo")))
    assert not psutil.pid_exists(mine.pid)
    assert other.poll() is None


@pytest.mark.parametrize("port", ["99999", "x", "-1", "8080.0", "²"])
def test_a_wrong_port_is_named(port, monkeypatch, tmp_path):
    """One message, not what the socket library says."""
    monkeypatch.setenv("HPO_PORT", port)
    with pytest.raises(InputError, match="HPO_PORT"):
        control.start(Home(tmp_path / "home"))
