"""The stand-ins for containers that the tests of the Celery stack kill: what is killed is gone, all of it."""

import os
import sys
from contextlib import suppress

import containers
import psutil
import pytest
from containers import Container, Restarter

from tests.flow.airflow_under_test import until

DETACHED = """
import os, sys, time
for _ in range(2):
    if os.fork():
        break
    os.setsid()
open(sys.argv[1] + str(os.getpid()), "w")
time.sleep(600)
"""


@pytest.fixture(params=["namespaces", "plain"])
def container(request, tmp_path, monkeypatch):
    """A container with processes that detached themselves from their parents."""
    if request.param == "plain":
        monkeypatch.setattr(containers, "namespaces_available", lambda: False)
    command = [sys.executable, "-c", DETACHED, f"{tmp_path}/started-"]
    made = Container("host-1", command, {"PATH": os.environ["PATH"]}, tmp_path, tmp_path / "log")
    yield made
    made.kill()


def test_killing_one_kills_all_that_it_started(container, tmp_path):
    """Whatever left its session and its parent."""
    container.start()
    until(lambda: len(list(tmp_path.glob("started-*"))) == 3, what="three processes")
    inside = container.processes()
    assert len(inside) == 3
    assert container.main_process() in inside
    container.kill()
    assert container.ended
    assert [process for process in inside if process.is_running()] == []


def test_one_whose_command_ends_takes_the_rest_with_it(container, tmp_path):
    """As when the first process of a container dies."""
    container.start()
    until(lambda: len(list(tmp_path.glob("started-*"))) == 3, what="three processes")
    inside = container.processes()
    container.main_process().kill()
    until(lambda: container.ended, what="the container's end")
    psutil.wait_procs(inside, timeout=10)
    assert [process for process in inside if process.is_running()] == []


def killed(container):
    """Kill what runs in it, which while it starts may not be there any more; whether it has ended."""
    if process := container.main_process():
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return container.ended


def test_an_ended_one_is_started_again_unless_a_test_forbids_it(container):
    container.start()
    first = until(container.main_process, what="a process")
    restarter = Restarter([container])
    try:
        first.kill()
        until(lambda: (now := container.main_process()) != first and now, what="another process")
        container.restarts = False
        until(lambda: killed(container), what="the container's end")
    finally:
        restarter.stop()
    assert container.ended
