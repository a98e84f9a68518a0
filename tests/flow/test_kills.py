"""A study while its processes are killed: nothing lost, nothing twice, and the same best as if nothing had happened."""

import signal
import time

import psutil
import pytest

from hpo_tasks.study.identity import study_id
from hpo_tasks.study.ledger import Ledger
from tests.flow.airflow_under_test import until
from tests.flow.embedded_airflow import EmbeddedAirflow
from tests.flow.reference import lines, undisturbed, values

pytestmark = pytest.mark.airflow
DAG = "hpo_killed"
TRIALS = 24


@pytest.fixture(scope="module")
def airflow(tmp_path_factory):
    """An Airflow of its own, because these tests kill its parts."""
    server = EmbeddedAirflow(tmp_path_factory.mktemp("killed"))
    server.write("killed", batch_size=6, budget={"trials": TRIALS}, trial={"env": {"SECONDS_OF_WORK": "0.6"}})
    server.write(
        "gated", batch_size=2, budget={"trials": 2}, trial={"env": {"GATE": str(server.dags.parent / "gate")}}
    )
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def running(airflow):
    """A run that has trained some of its trials: (run id, study id)."""
    airflow.wait_for_dag(DAG)
    run_id = airflow.trigger(DAG)
    study = study_id("embedded", DAG, run_id, 0)
    until(lambda: len(lines(airflow, study, "end")) >= 3, what="three trained trials")
    until(airflow.trials, what="a running trial")
    return run_id, study


def test_a_trial_process_is_killed(airflow, running):
    """A bare SIGKILL is `infra` and earns a new attempt."""
    kill(airflow.trials()[:1])
    check(airflow, *running)


def test_a_task_process_is_killed(airflow, running):
    """Its retry adopts the job that lives on."""
    until(lambda: task_processes(airflow), what="a task process")
    kill(task_processes(airflow)[:1])
    check(airflow, *running)


def test_the_scheduler_is_killed(airflow, running):
    """The supervisor starts another; tasks that the dead one ran are retried."""
    dead = airflow.part("scheduler")
    left = dead.children(recursive=True)
    assert left
    kill([dead])
    until(lambda: airflow.part("scheduler").pid != dead.pid, what="another scheduler")
    assert left == [process for process in left if not process.is_running()]
    check(airflow, *running)


def test_the_api_server_is_away_for_a_while(airflow, running):
    """Stopped for longer than Airflow's default patience of three heartbeats: no trial is trained again."""
    server = airflow.part("api-server")
    server.suspend()
    until_s = time.monotonic() + 40  # an outage is a length of time: there is no condition to wait for
    until(lambda: time.monotonic() > until_s, what="the end of the outage")
    server.resume()
    run_id, study = running
    check(airflow, run_id, study)
    assert len(lines(airflow, study, "start")) == TRIALS


def test_tasks_are_told_to_stop_and_a_running_trial_is_cleared(airflow):
    """They leave their jobs to the retries, which train nothing again; the cleared trial's job ends and starts anew.

    SIGTERM goes to the tasks themselves: up to 3.3 a worker that gets it hands it on, from 3.4 on it lets its task finish.
    """
    dag_id, train, gate = "hpo_gated", "round_00.train", airflow.dags.parent / "gate"
    airflow.wait_for_dag(dag_id)
    run_id = airflow.trigger(dag_id)
    study = study_id("embedded", dag_id, run_id, 0)
    until(lambda: len(lines(airflow, study, "start")) == 2, what="both trials to run")
    trials = airflow.trials()
    tasks = [task for worker in airflow.part("scheduler").children() for task in worker.children()]
    assert len(tasks) >= 2  # one may be ending the ask
    for task in tasks:
        task.terminate()

    def retried():
        rows = [row for (name, _), row in airflow.tasks(dag_id, run_id).items() if name == train]
        return all((row["state"], row["try_number"]) == ("running", 2) for row in rows)

    until(retried, what="the retries of both train tasks")
    assert [process for process in trials if not process.is_running()] == []
    airflow.clear(dag_id, run_id, (airflow.tasks(dag_id, run_id)[train, 1]["task_id"], 1))
    until(lambda: len(lines(airflow, study, "start")) == 3, what="another attempt of the cleared trial")
    gate.touch()
    assert airflow.finish(dag_id, run_id) == "success"
    attempts = sorted((line["HPO_SLOT"], line["HPO_ATTEMPT"]) for line in lines(airflow, study, "start"))
    assert attempts == [("0", "1"), ("1", "1"), ("1", "2")]
    ends = sorted((line["HPO_SLOT"], line["HPO_ATTEMPT"]) for line in lines(airflow, study, "end"))
    assert ends == [("0", "1"), ("1", "2")]
    assert {trial.state for trial in Ledger(airflow.home.study_db).trials(study)} == {"complete"}


def test_everything_is_killed_at_once(airflow, running):
    """Supervisor, Airflow, tasks and trials; after a new start the run goes on by itself."""
    victims = airflow.processes()
    assert len(victims) > 5
    kill(victims)
    assert not airflow.processes()
    airflow.start()
    check(airflow, *running)


def check(airflow, run_id, study):
    """The study completes; every key is recorded once, with the best of an undisturbed run; nothing is left."""
    assert airflow.finish(DAG, run_id, timeout_s=400) == "success"
    ledger = Ledger(airflow.study_db)
    trials = ledger.trials(study)
    assert sorted((t.round, t.slot) for t in trials) == [(r, s) for r in range(4) for s in range(6)]
    assert {t.state for t in trials} == {"complete"}
    ends = [(line["HPO_ROUND"], line["HPO_SLOT"]) for line in lines(airflow, study, "end")]
    assert set(ends) == {(str(r), str(s)) for r in range(4) for s in range(6)}
    assert values(ledger, study) == undisturbed(airflow, "killed", study)
    until(lambda: not airflow.trials(), what="every trial process to be gone")


def task_processes(airflow):
    """Processes that run a train task: descendants of a LocalExecutor worker."""
    found = []
    for worker in airflow.part("scheduler").children():
        found += worker.children(recursive=True)
    return [process for process in found if process.is_running()]


def kill(processes):
    for process in processes:
        if process.is_running():
            process.send_signal(signal.SIGKILL)
    gone, alive = psutil.wait_procs(processes, timeout=20)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE], gone
