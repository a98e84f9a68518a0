"""A pool caps what all studies that name it train at the same time."""

import pytest

from hpo_tasks.errors import IntegrityError
from hpo_tasks.study.identity import study_id
from hpo_tasks.study.ledger import Ledger

pytestmark = pytest.mark.airflow
STUDIES = ("hpo_narrow_one", "hpo_narrow_two")


def test_two_studies_in_a_pool_of_one_never_train_at_the_same_time(airflow):
    """Each study may train three trials side by side; the trainer's own ledger says that none began before another's end."""
    airflow.http.post("/pools", json={"name": "narrow", "slots": 1}).raise_for_status()
    for dag_id in STUDIES:
        airflow.wait_for_dag(dag_id)
    runs = {dag_id: airflow.trigger(dag_id) for dag_id in STUDIES}
    assert {airflow.finish(dag_id, run_id) for dag_id, run_id in runs.items()} == {"success"}
    studies = {study_id(airflow.deployment, dag_id, run_id, 0) for dag_id, run_id in runs.items()}
    lines = [line for line in airflow.trained() if line["HPO_STUDY"] in studies]
    assert [line["event"] for line in lines] == ["start", "end"] * 6
    starts, ends = lines[::2], lines[1::2]
    assert [key(line) for line in starts] == [key(line) for line in ends]
    assert {line["HPO_STUDY"] for line in starts} == studies


def test_a_pool_that_does_not_exist_fails_prepare(airflow):
    """Airflow would never start the tasks and the run would never end: refused before anything is created."""
    airflow.wait_for_dag("hpo_no_pool")
    run_id = airflow.trigger("hpo_no_pool")
    assert airflow.finish("hpo_no_pool", run_id) == "failed"
    log = airflow.log("hpo_no_pool", run_id, "prepare")
    assert any(line.startswith("pool: `nobody_made_it` is not one of") and "narrow" in line for line in log)
    study = study_id(airflow.deployment, "hpo_no_pool", run_id, 0)
    with pytest.raises(IntegrityError):
        Ledger(airflow.study_db).study(study)


def key(line):
    return line["HPO_STUDY"], line["HPO_ROUND"], line["HPO_SLOT"]
