"""The process that watches a task sees the task's end whatever it waits for."""

import subprocess
import sys

import pytest

WATCH = """
import subprocess, sys, uuid
import psutil, structlog
from airflow.sdk.execution_time.supervisor import PsutilTracker, WatchedSubprocess
from hpo_tasks.flow.task_ends import notice_task_ends_at_once

if "mended" in sys.argv:
    notice_task_ends_at_once()
    notice_task_ends_at_once()  # done twice it is the same
task = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read(); sys.exit(3)"], stdin=subprocess.PIPE)
watcher = WatchedSubprocess(
    id=uuid.uuid4(), pid=task.pid, stdin=None, process=PsutilTracker(psutil.Process(task.pid)),
    process_log=structlog.get_logger(),
)
assert watcher._service_subprocess(max_wait_time=0.1) is None  # it runs
task.stdin.close()
print(watcher._service_subprocess(max_wait_time=20))
"""


def watch(*arguments: str, timeout_s: float) -> str:
    """What a watcher without sockets, that would wait for 20 s, says of a task that ends with code 3."""
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *arguments],
        capture_output=True, text=True, check=True, timeout=timeout_s,
    )  # fmt: skip
    return done.stdout.splitlines()[-1]


def test_the_end_of_a_task_without_sockets_is_noticed():
    assert watch("mended", timeout_s=18) == "3"


def test_airflow_still_needs_the_remedy():
    """Airflow alone waits on nothing. If this fails it has been mended there: take the remedy out."""
    with pytest.raises(subprocess.TimeoutExpired):
        watch(timeout_s=15)
