"""Studies whose trials are jobs on Batch, through a real Airflow: deferred while they run, adopted, stopped, recorded once."""

import json

import pytest
from aws_double.batch_site import create_queue, register_definition
from aws_double.double import REGION, SECRET_KEY

from hpo_tasks.study.identity import study_id
from hpo_tasks.study.ledger import Ledger
from tests.flow.airflow_under_test import until
from tests.flow.embedded_airflow import EmbeddedAirflow
from tests.flow.reference import lines, undisturbed, values
from tests.infra.policies import allows
from tests.infra.rendering import ACCOUNT, Rendered
from tests.infra.rendering import REGION as POLICY_REGION

pytestmark = pytest.mark.airflow
CONNECTION = "hpo_aws"
CONTROL_KEY = "key-of-the-control-plane"
QUEUE, DEFINITION = "hpo-embedded", "hpo-embedded_trial"
"""As infra/hpo.yaml names them for the deployment `embedded`."""
POLICIES = ("StorePolicy", "BatchPolicy", "BucketPolicy")
S3_RIGHTS = {
    "HeadObject": "GetObject",
    "ListObjectsV2": "ListBucket",
    "ListObjects": "ListBucket",
    "DeleteObjects": "DeleteObject",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
}
"""Calls → the right that they need, where it is called otherwise."""


@pytest.fixture(scope="module")
def airflow(tmp_path_factory, aws_server):
    """A running Airflow whose studies train on Batch."""
    server = EmbeddedAirflow(tmp_path_factory.mktemp("batch"))
    aws_server.reset()
    backend = {
        "type": "batch", "slots": 4, "connection": CONNECTION, "job_queue": create_queue(aws_server, QUEUE),
        "job_definition": register_definition(aws_server, ["false"], DEFINITION),
    }  # fmt: skip
    store = {"uri": f"s3://{aws_server.new_bucket()}/hpo", "connection": CONNECTION}
    for stem, changes in STUDIES.items():
        server.write(stem, **{"backend": backend, "store": store, **changes})
    server.write("no_queue", backend={**backend, "job_queue": "no-such-queue"}, store=store)
    connection = {
        "conn_type": "aws", "login": CONTROL_KEY, "password": SECRET_KEY,
        "extra": {"endpoint_url": aws_server.endpoint, "region_name": REGION},
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(f"AIRFLOW_CONN_{CONNECTION.upper()}", json.dumps(connection))
        patch.setenv("HPO_POLL_S", "0.3")
        try:
            server.start()
            yield server
        finally:
            server.stop()


STUDIES = {
    "quick": {"batch_size": 4, "budget": {"trials": 8}},
    "some_seconds": {"batch_size": 2, "budget": {"trials": 2}, "trial": {"env": {"SECONDS_OF_WORK": "20"}}},
    "slow": {
        "batch_size": 2,
        "budget": {"trials": 2},
        "trial": {"env": {"SECONDS_OF_WORK": "600"}, "timeout": "20m"},
    },
}


@pytest.fixture
def aws(aws_server):
    """Not reset: the queue and the definition stay."""
    return aws_server


def start(airflow, stem):
    dag_id = f"hpo_{stem}"
    airflow.wait_for_dag(dag_id)
    run_id = airflow.trigger(dag_id)
    return dag_id, run_id, study_id("embedded", dag_id, run_id, 0)


def are_awaited(airflow, dag_id, run_id):
    """Whether both train tasks are deferred, and a triggerer has taken their triggers."""
    rows = [row for (name, _), row in airflow.tasks(dag_id, run_id).items() if name == "round_00.train"]
    return len(rows) == 2 and all(row["state"] == "deferred" and row["triggerer_job"] for row in rows)


def test_a_study_on_batch_finds_what_it_finds_locally(airflow, aws):
    """Every trial once, one job each, with the values that its seed gives; nothing is alive afterwards."""
    dag_id, run_id, study = start(airflow, "quick")
    assert airflow.finish(dag_id, run_id) == "success"
    ledger = Ledger(airflow.study_db)
    assert {trial.state for trial in ledger.trials(study)} == {"complete"}
    assert values(ledger, study) == undisturbed(airflow, "quick", study)
    assert len(lines(airflow, study, "end")) == 8
    mine = [call for call in aws.calls("batch", "SubmitJob") if study in json.dumps(call["parameters"])]
    assert len(mine) == 8
    assert aws.alive()["batch"] == []


def test_no_worker_waits_for_a_job_and_a_marked_task_ends_its_job(airflow, aws):
    """The tasks are deferred while their jobs run. One that is marked as failed while deferred takes its job with it."""
    dag_id, run_id, study = start(airflow, "slow")
    until(lambda: len(lines(airflow, study, "start")) == 2, what="both trials to run")
    until(lambda: are_awaited(airflow, dag_id, run_id), what="both tasks to be deferred")
    assert len(aws.alive()["batch"]) == 2
    airflow.http.patch(f"/dags/{dag_id}/dagRuns/{run_id}", json={"state": "failed"}).raise_for_status()
    until(lambda: aws.alive()["batch"] == [], what="both jobs to be ended")


def test_a_cleared_trial_is_trained_anew_and_the_other_is_not(airflow, aws):
    dag_id, run_id, study = start(airflow, "slow")
    until(lambda: are_awaited(airflow, dag_id, run_id), what="both tasks to be deferred")
    until(lambda: len(lines(airflow, study, "start")) == 2, what="both trials to run")
    task_id = airflow.tasks(dag_id, run_id)["round_00.train", 1]["task_id"]
    airflow.clear(dag_id, run_id, (task_id, 1))
    until(lambda: len(lines(airflow, study, "start")) == 3, what="another attempt of the cleared trial")
    attempts = sorted((line["HPO_SLOT"], line["HPO_ATTEMPT"]) for line in lines(airflow, study, "start"))
    assert attempts == [("0", "1"), ("1", "1"), ("1", "2")]
    until(lambda: are_awaited(airflow, dag_id, run_id), what="both tasks to be deferred again")
    airflow.http.patch(f"/dags/{dag_id}/dagRuns/{run_id}", json={"state": "failed"}).raise_for_status()
    until(lambda: aws.alive()["batch"] == [], what="the jobs to be ended")


def test_a_killed_triggerer_and_scheduler_cost_no_training(airflow, aws):
    """The jobs run on; whoever is started again awaits them, and records each once."""
    dag_id, run_id, study = start(airflow, "some_seconds")
    until(lambda: are_awaited(airflow, dag_id, run_id), what="both tasks to be deferred")
    for name in ("triggerer", "scheduler"):
        for process in [*airflow.part(name).children(recursive=True), airflow.part(name)]:
            process.kill()
    assert airflow.finish(dag_id, run_id, timeout_s=400) == "success"
    assert len(lines(airflow, study, "start")) == len(lines(airflow, study, "end")) == 2
    assert {trial.state for trial in Ledger(airflow.study_db).trials(study)} == {"complete"}
    assert aws.alive()["batch"] == []


def test_a_queue_that_is_not_there_fails_before_a_job_is_submitted(airflow):
    dag_id, run_id, _ = start(airflow, "no_queue")
    assert airflow.finish(dag_id, run_id) == "failed"
    log = airflow.log(dag_id, run_id, "prepare")
    assert any("backend.job_queue: there is no job queue `no-such-queue`" in line for line in log)


def test_the_reaper_ends_what_nobody_needs_and_nothing_else(airflow, aws):
    """A job of a study whose run is over, beside one that is awaited, one of another deployment, and a stranger's."""
    dag_id, run_id, study = start(airflow, "slow")
    until(lambda: are_awaited(airflow, dag_id, run_id), what="both tasks to be deferred")
    over = study_id("embedded", "hpo_quick", "gone", 0)
    mine = {"hpo:deployment": "embedded"}
    left = {
        submitted(aws, airflow, f"hpo-{over}-0-0-1", {"hpo:deployment": "another"}),
        submitted(aws, airflow, "hpo-report", mine),
        *aws.alive()["batch"],
    }
    late = submitted(aws, airflow, f"hpo-{study}-0-5-1", {**mine, "hpo:ends": "1000"})
    assert reap(airflow, dry_run=True) == [late]
    assert set(aws.alive()["batch"]) == {*left, late}
    assert reap(airflow, dry_run=False) == [late]
    until(lambda: set(aws.alive()["batch"]) == left, what="the late job to be ended")
    airflow.http.patch(f"/dags/{dag_id}/dagRuns/{run_id}", json={"state": "failed"}).raise_for_status()


def submitted(aws, airflow, name, tags):
    """Id of a job that sleeps, in the queue of the tests' studies."""
    backend = json.loads((airflow.studies / "slow.json").read_text())["backend"]
    return aws.client("batch").submit_job(
        jobName=name, jobQueue=backend["job_queue"], jobDefinition=backend["job_definition"], tags=tags,
        containerOverrides={"command": ["sleep", "600"]},
    )["jobId"]  # fmt: skip


def reap(airflow, **conf):
    """Ids of the jobs that a run of the reaper found."""
    airflow.wait_for_dag("hpo_reaper")
    run_id = airflow.trigger("hpo_reaper", **conf)
    assert airflow.finish("hpo_reaper", run_id) == "success"
    path = f"/dags/hpo_reaper/dagRuns/{run_id}/taskInstances/reap/xcomEntries/return_value"
    found = airflow.http.get(path, params={"deserialize": True}).raise_for_status().json()["value"]
    return [job["id"] for job in found]


def test_airflow_asks_aws_for_nothing_that_its_policies_refuse(airflow, aws):
    """Every call of all the tests before this one, against the policies of infra/hpo.yaml."""
    documents = Rendered(Deployment="embedded").policy(*POLICIES)
    calls = [call for call in aws.calls() if call["access_key"] == CONTROL_KEY]
    needed = {right for call in calls for right in rights(call)}
    refused = [right for right in needed if not allows(documents, right[0], right[1], dict(right[2]))]
    assert refused == []
    assert {"batch:SubmitJob", "batch:TerminateJob", "s3:PutObject", "s3:ListBucket"} <= {
        right[0] for right in needed
    }


def rights(call):
    """(action, resource, condition keys) that a call needs; buckets and job ids as the template would know them."""
    asked, ours = call["parameters"], (("aws:ResourceTag/hpo:deployment", "embedded"),)
    if call["service"] == "s3":
        action = S3_RIGHTS.get(call["action"], call["action"])
        key = asked.get("Key") or ""
        resource = f"arn:aws:s3:::hpo-embedded-{ACCOUNT}-{POLICY_REGION}" + (
            "" if action == "ListBucket" else f"/{key or 'hpo/'}"
        )
        once = (("s3:if-none-match", "*"),) if key.endswith("outcome.json") else ()
        return [(f"s3:{action}", resource, (("aws:SecureTransport", True), *once))]
    if call["action"] == "SubmitJob":
        new = (("aws:RequestTag/hpo:deployment", asked["tags"]["hpo:deployment"]),)
        named = {"job-queue": asked["jobQueue"], "job-definition": asked["jobDefinition"]}
        return [
            *(("batch:SubmitJob", batch_arn(f"{kind}/{name}"), new) for kind, name in named.items()),
            ("batch:TagResource", batch_arn("job/some-id"), new),
        ]
    if call["action"] == "TerminateJob":
        return [("batch:TerminateJob", batch_arn("job/some-id"), ours)]
    return [(f"{call['service']}:{call['action']}", "*", ())]


def batch_arn(resource):
    return f"arn:aws:batch:{POLICY_REGION}:{ACCOUNT}:{resource}"
