"""A study over two Celery workers, PostgreSQL, Redis and an object store, started as docker-compose.yaml says."""

import json
from importlib import metadata
from pathlib import Path

import pytest

from hpo_tasks.backends import sandbox
from hpo_tasks.study.identity import study_id
from hpo_tasks.study.ledger import Ledger
from tests.flow.airflow_under_test import FINAL, until
from tests.flow.celery_stack import CeleryStack
from tests.flow.reference import lines, undisturbed, values

pytestmark = pytest.mark.airflow
SCHEDULER_CRASHES = metadata.version("apache-airflow") == "3.4.0b2"
"""On the task of a lost worker, of any DAG: docs/own-airflow.md. Then no worker is killed."""
a_worker_is_killed = pytest.mark.skipif(
    SCHEDULER_CRASHES, reason="waits for an Airflow 3.4 after b2, whose scheduler gets over a lost worker"
)
DAG = "hpo_many"
SPY = "hpo_spy"
KEYS = {(round_, slot) for round_ in range(2) for slot in range(6)}
SECRETS = ("PASSWORD", "KEY", "SECRET")


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """The whole stack. A silent worker counts as dead after 15 s instead of three minutes: the tests wait for that."""
    root = tmp_path_factory.mktemp("celery")
    stack = CeleryStack(root, HPO_WORKER_TIMEOUT_S="15", HPO_LOCAL_SLOTS="8")
    stack.write(
        "many",
        batch_size=6,
        budget={"trials": len(KEYS)},
        trial={"env": {"SECONDS_OF_WORK": "2"}},
        backend={"slots": 6},
    )
    stack.write(
        "spy",
        search={"y": None},
        batch_size=1,
        budget={"trials": 1},
        trial={
            "command": ["python3", "spy.py"],
            "env": {"FOUND": str(root / "found.txt"), "ROOTS": json.dumps([str(root / "containers")])},
        },
    )
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope="module")
def finished(stack):
    """The run of a study during which a worker was killed with all that ran in it, and a spy's: run ids by DAG."""
    for dag_id in (DAG, SPY):
        stack.wait_for_dag(dag_id)
    runs = {dag_id: stack.trigger(dag_id) for dag_id in (DAG, SPY)}
    victim = stack.workers[0]
    until(lambda: all(trials_in(stack, worker) for worker in stack.workers), what="trials on both workers")
    if not SCHEDULER_CRASHES:
        killed = stack.containers[victim].processes()
        stack.kill(victim)
        assert [process for process in killed if process.is_running()] == []
    assert {stack.finish(dag_id, run_id) for dag_id, run_id in runs.items()} == {"success"}
    return runs


@a_worker_is_killed
def test_a_killed_worker_costs_no_trial(stack, finished):
    """Each key is recorded once with the value that its seed gives; nobody runs any more, in Airflow or in Optuna."""
    study = study_id(stack.deployment, DAG, finished[DAG], 0)
    ledger = Ledger(stack.study_db)
    trials = ledger.trials(study)
    assert sorted((trial.round, trial.slot) for trial in trials) == sorted(KEYS)
    assert {trial.state for trial in trials} == {"complete"}
    assert values(ledger, study) == undisturbed(stack, "many", study)
    assert {(int(line["HPO_ROUND"]), int(line["HPO_SLOT"])) for line in lines(stack, study, "end")} == KEYS
    states = {task["state"] for task in stack.tasks(DAG, finished[DAG]).values()}
    assert states <= FINAL | {"skipped"}
    until(lambda: not stack.trials(), what="every trial process to be gone")


@a_worker_is_killed
def test_the_killed_worker_came_back(stack, finished):
    """As `restart: unless-stopped` has it; and each service passes the health check of the file."""
    airflow = [name for name in stack.containers if name not in ("redis", "object-store")]
    for name in [*airflow, "redis"]:
        until(lambda name=name: stack.is_healthy(name), what=f"{name} to be healthy")


def test_workers_have_loaded_what_tasks_import(stack, finished):
    """So that no task imports Optuna, which is what loads NumPy in the process that tasks are forked from."""
    for worker in stack.workers:
        libraries = {Path(each.path).name for each in stack.part(worker).memory_maps()}
        assert [name for name in libraries if name.startswith("_multiarray_umath")]


def test_another_start_leaves_what_people_changed(stack, finished):
    """`init` runs at every `docker compose up`: it must neither fail on what is there nor put it back."""
    path = "/pools/hpo_local"
    changed = stack.http.get(path).raise_for_status().json()["slots"] + 1
    pool = {"pool": "hpo_local", "slots": changed, "include_deferred": False}
    stack.http.patch(path, json=pool).raise_for_status()
    stack.run_init()
    assert stack.http.get(path).raise_for_status().json()["slots"] == changed


def test_logs_of_all_workers_can_be_read_in_the_ui(stack, finished):
    """No worker serves its logs, and one of them was killed: they lie on the volume that all services share."""
    hosts = {}
    for (name, _), task in stack.tasks(DAG, finished[DAG]).items():
        if name == "round_01.train":
            log = stack.log_of(task)
            hosts.setdefault(task["hostname"], []).append(any("started as job" in line for line in log))
    assert hosts
    assert all(all(found) for found in hosts.values())


def test_a_trial_finds_no_secret_of_the_deployment(stack, finished):
    """No database URL, broker URL or key of Airflow in its environment, nor, where the kernel isolates, anywhere near."""
    found = (stack.dags.parent / "found.txt").read_text()
    secrets = [value for name, value in stack.variables.items() if name.endswith(SECRETS)]
    assert len(secrets) > 8
    environment = found.splitlines()[0] if not sandbox.available() else found
    assert [secret for secret in secrets if secret in environment] == []
    assert "HPO_METRICS" in environment


def trials_in(stack, worker):
    """Trial processes that run in a worker's container."""
    inside = {process.pid for process in stack.containers[worker].processes()}
    return [process for process in stack.trials() if process.pid in inside]
