"""Secrets through a real Airflow: from the connection to the trial, and to no other place."""

import hashlib
import sys
import uuid

import pytest
from trials import holding

from hpo_tasks.study.identity import study_id
from hpo_tasks.study.ledger import Ledger

pytestmark = pytest.mark.airflow

CANARY = f"canary-{uuid.uuid4().hex}"
DIGEST = hashlib.sha256(CANARY.encode()).hexdigest()
PROGRAM = f"""
import hashlib, os
key = os.environ["API_KEY"]
print("key", key, flush=True)
if float(os.environ["HPO_PARAM_X"]) > 0.5:
    raise SystemExit(key)
loss = int(hashlib.sha256(key.encode()).hexdigest() == {DIGEST!r})
open(os.environ["HPO_METRICS"], "w").write('{{"loss": %d}}' % loss)
"""


def study_with(tmp_path, connection):
    (tmp_path / "train.py").write_text(PROGRAM)
    return {
        "name": "secrets",
        "objective": {"metric": "loss", "direction": "minimize"},
        "optimizer": {"sampler": "grid"},
        "search": {"x": {"type": "float", "low": 0.0, "high": 1.0, "points": 2}},
        "batch_size": 2,
        "budget": {"trials": 2, "max_failed_share": 1.0},
        "trial": {
            "command": [sys.executable, "train.py"],
            "code": {"dir": str(tmp_path)},
            "secrets": {"API_KEY": {"connection": connection}},
        },
        "backend": {"type": "local", "slots": 2},
    }


@pytest.fixture
def connection(airflow):
    """The id of a connection that holds the canary."""
    name = f"my_api_{uuid.uuid4().hex[:8]}"
    body = {"connection_id": name, "conn_type": "http", "password": CANARY}
    airflow.http.post("/connections", json=body).raise_for_status()
    return name


def test_a_password_reaches_the_trial_and_is_stored_nowhere(airflow, connection, tmp_path):
    """Not in the store, the study database, XCom, a task's log, or Airflow's database outside of its encryption."""
    airflow.wait_for_dag("hpo_adhoc")
    run_id = airflow.trigger("hpo_adhoc", study=study_with(tmp_path, connection))
    assert airflow.finish("hpo_adhoc", run_id) == "success"
    study = study_id("embedded", "hpo_adhoc", run_id, 0)
    trials = Ledger(airflow.home.study_db).trials(study)
    assert sorted(trial.state for trial in trials) == ["complete", "failed"]
    assert [trial.values for trial in trials if trial.values] == [{"loss": 1.0}]
    logs = [path.read_text() for path in airflow.home.store.rglob("log.txt") if study in str(path)]
    assert sorted(logs) == ["key ***\n", "key ***\n***\n"]
    assert holding(airflow.home.root, connection) != []
    assert holding(airflow.home.root, CANARY) == []


def test_a_connection_that_does_not_exist_keeps_the_study_from_starting(airflow, tmp_path):
    airflow.wait_for_dag("hpo_adhoc")
    run_id = airflow.trigger("hpo_adhoc", study=study_with(tmp_path, "no_such_connection"))
    assert airflow.finish("hpo_adhoc", run_id) == "failed"
    log = airflow.log("hpo_adhoc", run_id, "prepare")
    assert any(
        "trial.secrets.API_KEY: there is no Airflow connection `no_such_connection`" in line for line in log
    )
    assert not any("Traceback" in line for line in log)
    assert not (airflow.home.store / "studies" / study_id("embedded", "hpo_adhoc", run_id, 0)).exists()
