"""The embedded Airflow's supervisor and its control, without an Airflow."""

import subprocess
import sys
from dataclasses import replace

import psutil
import pytest
from trials import Study, marked, until

from hpo_tasks.backends.local import LocalBackend
from hpo_tasks.errors import InputError
from hpo_tasks.flow.embedded import control
from hpo_tasks.flow.embedded.executor_workers import ExecutorWorkers
from hpo_tasks.flow.embedded.home import Home
from hpo_tasks.flow.embedded.sessions import Session, beginning, kill, members, read_sessions, write_sessions
from hpo_tasks.flow.embedded.supervisor import end_trials

# A leader that starts a child, says the child's process id, and waits; the child forgets its environment and name.
LEADER = """
import subprocess, sys
program = "import signal; signal.pause()"
child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.DEVNULL, env={})
print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def part():
    """A started part and the process that it started: (popen, session, child)."""
    process = subprocess.Popen(
        [sys.executable, "-c", LEADER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    child = psutil.Process(int(process.stdout.readline()))
    yield process, Session("scheduler", process.pid, beginning(process.pid)), child
    if child.is_running():
        child.kill()
    process.kill()
    process.communicate()


def test_what_a_dead_part_left_is_found_and_killed(part):
    """A LocalExecutor worker outlives its scheduler, under another name."""
    process, session, child = part
    process.kill()
    process.wait()
    assert members(session) == [child]
    kill(session)
    assert members(session) == []
    assert not child.is_running()


def test_a_number_that_belongs_to_somebody_else_by_now_is_left_alone(part):
    """Process ids are used again."""
    process, session, _ = part
    stale = replace(session, created=f"{session.created}0")
    assert members(stale) == []
    kill(stale)
    assert process.poll() is None


def test_setting_the_clock_does_not_hide_a_part(part, monkeypatch):
    """What psutil calls the creation time moves with the clock."""
    process, session, child = part
    monkeypatch.setattr(psutil.Process, "create_time", lambda _: 0.0)
    assert {member.pid for member in members(session)} == {process.pid, child.pid}


def test_sessions_are_noted_down_for_the_next_supervisor(tmp_path):
    """A damaged or missing note is none."""
    sessions = [Session("scheduler", 1, "boot 25"), Session("triggerer", 3, "boot 45")]
    write_sessions(tmp_path / "parts.json", sessions)
    assert read_sessions(tmp_path / "parts.json") == sessions
    (tmp_path / "torn.json").write_text("[{")
    assert read_sessions(tmp_path / "torn.json") == read_sessions(tmp_path / "none.json") == []


@pytest.mark.parametrize("port", ["99999", "x", "-1", "8080.0", "²"])
def test_a_wrong_port_is_named(port, monkeypatch, tmp_path):
    """One message, not what the socket library says."""
    monkeypatch.setenv("HPO_PORT", port)
    with pytest.raises(InputError, match="HPO_PORT"):
        control.start(Home(tmp_path / "home"))


def test_stopping_the_embedded_airflow_ends_its_trials(tmp_path):
    """Each writes down that it was interrupted, so that the next start goes on from its checkpoint."""
    study = Study(tmp_path)
    home = Home(tmp_path)
    home.create()
    backend = LocalBackend(home.store, home.jobs)
    requests = [study.request(["sleep", "600"], slot=slot) for slot in range(2)]
    try:
        for request in requests:
            backend.submit(request)
        until(lambda: len(marked(study.marker)) >= 2, "both programs")
        assert sorted(backend.running()) == [request.job for request in requests]
        end_trials(home)
        assert backend.running() == marked(study.marker) == []
        assert [study.outcome(request).cls for request in requests] == ["interrupted", "interrupted"]
    finally:
        study.end()


def test_without_trials_there_is_nothing_to_end(tmp_path):
    """A home that never ran one."""
    home = Home(tmp_path)
    home.create()
    end_trials(home)
    assert LocalBackend(home.store, home.jobs).running() == []


def test_a_supervisor_that_ends_is_not_waited_for(monkeypatch, tmp_path):
    """One that has not got as far as its lock is: a busy machine takes its time."""
    monkeypatch.setattr(control.sys, "executable", "/bin/false")
    monkeypatch.setattr(control, "START_TIMEOUT_S", 10_000.0)
    with pytest.raises(control.StartError, match="did not start"):
        control.start(Home(tmp_path / "home"))


# A scheduler with two workers of its executor, one of which ends when it is told to; it does not look after them.
SCHEDULER = """
import subprocess, sys
program = "import sys; sys.stdin.read(1)"
for name in ("LocalExecutor", "LocalExecutor", "another"):
    child = subprocess.Popen([sys.executable, "-c", program, name], stdin=subprocess.PIPE)
    print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def scheduler():
    """Process ids of a scheduler, of its two workers, and of something else that it started."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCHEDULER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    children = [int(process.stdout.readline()) for _ in range(3)]
    yield process.pid, *children
    for child in children:
        psutil.Process(child).kill()  # the scheduler has not reaped them: they are still there
    process.kill()
    process.communicate()


def test_a_dead_worker_of_the_executor_is_noticed(scheduler):
    """Airflow would not get over it: the supervisor has to start the scheduler again."""
    pid, _, worker, other = scheduler
    workers = ExecutorWorkers(pid)
    assert not workers.lost_one()
    psutil.Process(other).kill()
    assert not workers.lost_one()
    psutil.Process(worker).kill()
    until(workers.lost_one, "the dead worker to be noticed")


def test_a_scheduler_that_is_not_there_has_lost_no_worker():
    """It is started again because it is dead."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert not ExecutorWorkers(process.pid).lost_one()
