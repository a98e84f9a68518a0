"""The loop through a real Airflow: what a user sees when nothing goes wrong, and when the input is wrong."""

import json

import pytest

from hpo_tasks.flow.repetition import has_loops, most_rounds
from hpo_tasks.store import open_store
from hpo_tasks.study.identity import study_id
from hpo_tasks.study.ledger import Ledger
from tests.flow.airflow_under_test import until
from tests.flow.conftest import DEEDS, REPROCESS

pytestmark = pytest.mark.airflow


def ledger(airflow):
    return Ledger(airflow.home.study_db)


def study_of(dag_id, run_id, epoch=0):
    return study_id("embedded", dag_id, run_id, epoch)


def store(airflow, *parts):
    return airflow.home.store.joinpath(*parts)


def asset_events(airflow, dag_id, run_id):
    """Asset events of one run. Airflow 3.3 answers 500 while a run that an event started is queued: ask again."""

    def answer():
        reply = airflow.http.get("/assets/events", params={"source_dag_id": dag_id})
        return reply.json() if reply.status_code == 200 else None

    events = until(answer, what="an answer about asset events")["asset_events"]
    return [event for event in events if event["source_run_id"] == run_id]


@pytest.fixture(scope="module")
def plain(airflow):
    """A finished run of the plain study: (dag id, run id)."""
    dag_id = "hpo_plain"
    airflow.wait_for_dag(dag_id)
    run_id = airflow.trigger(dag_id)
    assert airflow.finish(dag_id, run_id) == "success"
    return dag_id, run_id


def test_every_slot_is_recorded_once(airflow, plain):
    """Budget.trials trials, keys without gaps, numbers without gaps, all complete."""
    trials = ledger(airflow).trials(study_of(*plain))
    assert sorted((trial.round, trial.slot) for trial in trials) == [
        (r, s) for r in range(2) for s in range(4)
    ]
    assert sorted(trial.number for trial in trials) == list(range(8))
    assert {trial.state for trial in trials} == {"complete"}


def test_nothing_runs_past_the_end(airflow, plain):
    """The last round's tell ends the study; after it no process starts but conclude's, and in a loop the gate's."""
    tasks = airflow.tasks(*plain)
    assert {row["state"] for row in tasks.values()} <= {"success", "skipped"}
    ran = {name for (name, _), row in tasks.items() if row["state"] == "success"}
    rounds = {f"round_{number:02d}.{task}" for number in range(2) for task in ("ask", "train", "tell")}
    gates = {f"round_{number:02d}.gate" for number in range(2)} if has_loops() else set()
    assert ran == {"prepare", *rounds, *gates, "conclude"}


def test_mapped_trials_show_their_parameters(airflow, plain):
    """The grid can be read: each trial is labelled with its parameters."""
    trials = {(t.round, t.slot): t.params for t in ledger(airflow).trials(study_of(*plain))}
    for (name, index), row in airflow.tasks(*plain).items():
        if name == "round_00.train":
            assert row["rendered_map_index"] == " ".join(
                f"{key}={v:.4g}" for key, v in trials[0, index].items()
            )


def test_summary_and_best_model(airflow, plain):
    """`summary.json`, the best trial's model in `best/`, and the DAG's pointer agree with the ledger."""
    study = study_of(*plain)
    best = min(ledger(airflow).trials(study), key=lambda trial: trial.values["loss"])
    summary = json.loads(store(airflow, "studies", study, "summary.json").read_text())
    pointer = json.loads(store(airflow, "best", "hpo_plain.json").read_text())
    model = json.loads(store(airflow, "studies", study, "best", "model.json").read_text())
    assert summary["best"][0]["number"] == best.number
    assert model == best.params == pointer["params"]
    assert (summary["state"], pointer["study"]) == ("complete", study)


def test_the_best_is_announced_as_an_asset(airflow, plain):
    """One event, with what a downstream DAG needs."""
    mine = asset_events(airflow, *plain)
    assert [event["uri"] for event in mine] == ["hpo://hpo_plain/best"]
    assert mine[0]["extra"]["study"] == study_of(*plain)
    assert set(mine[0]["extra"]) >= {"params", "values", "model"}


def test_downstream_dags_can_be_scheduled_on_it(airflow, plain):
    """Somebody else's DAG runs when there is a new best, and is told its parameters."""
    deployed = airflow.dags.parent / "deployed.json"
    until(deployed.exists, what="the downstream DAG's run")
    best = min(ledger(airflow).trials(study_of(*plain)), key=lambda trial: trial.values["loss"])
    assert [extra["params"] for extra in json.loads(deployed.read_text())] == [best.params]


def test_a_store_on_s3_through_an_airflow_connection(airflow, s3):
    """The control plane uses the connection's credentials; the trials get none and need none."""
    airflow.wait_for_dag("hpo_on_s3")
    run_id = airflow.trigger("hpo_on_s3")
    assert airflow.finish("hpo_on_s3", run_id) == "success"
    study = study_of("hpo_on_s3", run_id)
    header = ledger(airflow).study(study).header
    keys = set(open_store(header.store, client=s3.client()).list(f"studies/{study}/"))
    assert {
        f"studies/{study}/{name}" for name in ("summary.json", "best/model.json", "000/0001/outcome.json")
    } <= keys


def test_clearing_a_finished_run_adds_nothing(airflow, plain):
    """Every task runs again; no trial and no training is added, the record is the same, no second event."""
    before = ledger(airflow).trials(study_of(*plain)), len(airflow.trained())
    airflow.clear(*plain)
    until(lambda: airflow.run(*plain)["state"] in ("queued", "running"), what="the cleared run to start")
    assert airflow.finish(*plain) == "success"
    assert (ledger(airflow).trials(study_of(*plain)), len(airflow.trained())) == before
    assert len(asset_events(airflow, *plain)) == 1


def test_another_epoch_is_a_new_study(airflow, plain):
    """Epoch 1 trains anew under the same DAG."""
    run_id = airflow.trigger(plain[0], epoch=1, **{"budget.trials": 4})
    assert airflow.finish(plain[0], run_id) == "success"
    assert len(ledger(airflow).trials(study_of(plain[0], run_id, 1))) == 4


def test_a_half_finished_run_resumes(airflow):
    """Marked failed in the middle and cleared: what was recorded stays, only what was missing is trained to its end."""
    dag_id = "hpo_slow"
    airflow.wait_for_dag(dag_id)
    run_id = airflow.trigger(dag_id)
    study = study_of(dag_id, run_id)

    def ends():
        return sorted(
            (r["HPO_ROUND"], r["HPO_SLOT"])
            for r in airflow.trained()
            if r["event"] == "end" and r["HPO_STUDY"] == study
        )

    until(lambda: len(ends()) >= 5, what="five trained trials")
    airflow.http.patch(f"/dags/{dag_id}/dagRuns/{run_id}", json={"state": "failed"}).raise_for_status()
    until(lambda: not airflow.trials(), what="the jobs of the failed run to end")
    recorded = {t.number: t for t in ledger(airflow).trials(study) if t.finished}
    airflow.clear(dag_id, run_id)
    until(
        lambda: airflow.run(dag_id, run_id)["state"] in ("queued", "running"), what="the cleared run to start"
    )
    assert airflow.finish(dag_id, run_id) == "success"
    trials = ledger(airflow).trials(study)
    assert len(trials) == 8
    assert {t.state for t in trials} == {"complete"}
    assert recorded == {t.number: t for t in trials if t.number in recorded}
    assert len(ends()) == len(set(ends())) == 8


@pytest.mark.parametrize(
    "conf",
    [{"budget.trials": 0}, {"budget.trials": 10**6}, {"budget.trials": "8"}, {"batch_size": 1001},
     {"optimizer.sampler": "nope"}, {"epoch": -1}, {"note": "x" * 5000}],
)  # fmt: skip
def test_the_form_refuses_types_and_bounds(airflow, conf):
    """HTTP 400 with the field's name; no run is created."""
    airflow.wait_for_dag("hpo_plain")
    assert "400" not in airflow.trigger("hpo_plain", status=400, **conf)


@pytest.mark.parametrize(
    ("conf", "message"),
    [({"budget.trails": 5}, "budget.trails"), ({"batch_size": 1, "budget.trials": 16}, "budget.trials")],
)
def test_prepare_refuses_the_rest(airflow, conf, message):
    """What the form cannot see: one message, no traceback, no retry, nothing created."""
    airflow.wait_for_dag("hpo_plain")
    run_id = airflow.trigger("hpo_plain", **conf)
    assert airflow.finish("hpo_plain", run_id) == "failed"
    log = airflow.log("hpo_plain", run_id, "prepare")
    assert any(message in line for line in log)
    assert not any("Traceback" in line for line in log)
    assert airflow.tasks("hpo_plain", run_id)["prepare", -1]["try_number"] == 1
    assert not store(airflow, "studies", study_of("hpo_plain", run_id)).exists()


def test_broken_files_are_import_errors_and_harm_nobody(airflow):
    """One import error that names files and fields; the good files are DAGs."""
    errors = until(lambda: airflow.http.get("/importErrors").json()["import_errors"], what="an import error")
    assert [error["filename"].rsplit("/", 1)[-1] for error in errors] == ["hpo_broken_studies.py"]
    text = errors[0]["stack_trace"]
    assert "broken.yaml: search.lr.low: must be > 0 on a log scale, got 0" in text
    assert "twice.json" in text
    assert "Traceback" not in text
    assert airflow.wait_for_dag("hpo_plain")["dag_id"] == "hpo_plain"


def test_adhoc_takes_a_whole_study(airflow):
    """Through REST: validated, run, recorded."""
    airflow.wait_for_dag("hpo_adhoc")
    study = json.loads((airflow.studies / "plain.json").read_text()) | {
        "batch_size": 2,
        "budget": {"trials": 4},
    }
    run_id = airflow.trigger("hpo_adhoc", study=study)
    assert airflow.finish("hpo_adhoc", run_id) == "success"
    assert len(ledger(airflow).trials(study_of("hpo_adhoc", run_id))) == 4


def test_adhoc_refuses_more_rounds_than_it_has(airflow):
    """The message names the field and the bound: 50 unrolled, 1,000 in a loop."""
    airflow.wait_for_dag("hpo_adhoc")
    study = json.loads((airflow.studies / "plain.json").read_text()) | {
        "batch_size": 1,
        "budget": {"trials": most_rounds() + 1},
    }
    run_id = airflow.trigger("hpo_adhoc", study=study)
    assert airflow.finish("hpo_adhoc", run_id) == "failed"
    expected = f"budget.trials: must be at most {most_rounds()} "
    assert any(expected in line for line in airflow.log("hpo_adhoc", run_id, "prepare"))


def test_a_typo_does_not_burn_the_night(airflow):
    """When the whole first round ends in user errors the study stops and says why."""
    airflow.wait_for_dag("hpo_typo")
    run_id = airflow.trigger("hpo_typo")
    assert airflow.finish("hpo_typo", run_id) == "failed"
    trials = ledger(airflow).trials(study_of("hpo_typo", run_id))
    assert [(trial.state, trial.cls) for trial in trials] == [("failed", "user_error")] * 4
    assert any(
        "no_such_program.py" in line or "user_error" in line
        for line in airflow.log("hpo_typo", run_id, "conclude")
    )


def test_misbehaving_trials_are_classified(airflow):
    """Each deed gets its class; the study completes and leaves no process behind."""
    airflow.wait_for_dag("hpo_deeds")
    run_id = airflow.trigger("hpo_deeds")
    assert airflow.finish("hpo_deeds", run_id) == "success"
    trials = {trial.params["deed"]: trial for trial in ledger(airflow).trials(study_of("hpo_deeds", run_id))}
    expected = {
        "segfault": "user_error", "no_metric": "user_error", "chatty": "complete", "deaf": "timeout",
        "daemon": "complete", "glutton": "oom", "nan": "user_error", "text": "user_error", "good": "complete",
    }  # fmt: skip
    assert {deed: trial.cls for deed, trial in trials.items()} == expected
    assert set(expected) == set(DEEDS)
    assert {trial.attempts for trial in trials.values()} == {1}
    until(lambda: not airflow.trials(), what="every process of the trials to be gone")


def test_backfill_makes_one_study_per_interval_and_reprocessing_resumes(airflow):
    """Twice the same backfill, with each reprocess behaviour: no trial and no training is added."""
    dag_ids = {behaviour: f"hpo_nightly_{behaviour}" for behaviour in REPROCESS}
    for dag_id in dag_ids.values():
        airflow.wait_for_dag(dag_id)

    def backfill(behaviours):
        """Backfill each DAG with its behaviour, side by side: Airflow notices the end of one every 30 s."""
        made = [create_backfill(airflow, dag_id, behaviours[name]) for name, dag_id in dag_ids.items()]
        for number in made:
            until(
                lambda n=number: airflow.http.get(f"/backfills/{n}").json()["completed_at"],
                what="end of backfill",
            )

    def state():
        runs = {
            dag_id: airflow.http.get(f"/dags/{dag_id}/dagRuns").json()["dag_runs"]
            for dag_id in dag_ids.values()
        }
        assert {run["state"] for found in runs.values() for run in found} == {"success"}
        return {
            (dag_id, run["dag_run_id"]): ledger(airflow).trials(study_of(dag_id, run["dag_run_id"]))
            for dag_id, found in runs.items()
            for run in found
        }

    backfill(dict.fromkeys(REPROCESS, "none"))
    before, trained = state(), len(airflow.trained())
    assert [len(trials) for trials in before.values()] == [2] * 6
    backfill({name: name for name in REPROCESS})
    assert (state(), len(airflow.trained())) == (before, trained)


def create_backfill(airflow, dag_id, behaviour):
    body = {
        "dag_id": dag_id, "from_date": "2026-03-01T00:00:00Z", "to_date": "2026-03-02T23:00:00Z",
        "reprocess_behavior": behaviour, "max_active_runs": 2, "run_backwards": False, "dag_run_conf": {},
    }  # fmt: skip

    def made():
        reply = airflow.http.post("/backfills", json=body)
        # SQLite was busy (3.3 says 503, 3.4 also 500): try again; what has begun by then Airflow refuses to make twice.
        return None if reply.status_code in (500, 503) else reply.raise_for_status().json()["id"]

    return until(made, what=f"a backfill of {dag_id}")


def test_each_interval_reads_its_own_data(airflow):
    """Missing data of a night: refused before any trial starts, naming the input."""
    airflow.wait_for_dag("hpo_nightly_none")
    run_id = airflow.trigger("hpo_nightly_none")
    assert airflow.finish("hpo_nightly_none", run_id) == "failed"
    assert any("trial.inputs.train" in line for line in airflow.log("hpo_nightly_none", run_id, "prepare"))
    assert not store(airflow, "studies", study_of("hpo_nightly_none", run_id)).exists()
