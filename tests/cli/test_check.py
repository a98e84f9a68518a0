"""`hpo check`: what a cloud would refuse is said before anything is started."""

import json

import pytest
from aws_double.batch_site import create_queue, register_definition
from recorded_study import SPEC


@pytest.fixture
def site(aws, monkeypatch):
    """A queue, a definition and a store; the shell's credentials."""
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)
    backend = {
        "type": "batch", "job_queue": create_queue(aws), "job_definition": register_definition(aws, ["false"]),
    }  # fmt: skip
    return {"backend": backend, "store": f"s3://{aws.new_bucket()}/hpo"}


@pytest.fixture
def study(tmp_path, site):
    """Writes a study file on the site, changed as told."""

    def write(backend=None, **changes):
        path = tmp_path / "study.json"
        path.write_text(json.dumps({**SPEC, **site, "backend": site["backend"] | (backend or {}), **changes}))
        return path

    return write


def test_a_study_that_batch_would_take(hpo, study):
    path = study()
    ended = hpo("check", path)
    assert (ended.code, ended.out) == (0, f"{path}: ok — batch would take its trials, the store answers\n")


def test_all_findings_at_once(hpo, study):
    wrong = {"job_queue": "absent", "job_definition": "none:7"}
    ended = hpo("check", study(backend=wrong, store="s3://bucket-that-is-not-there/hpo"))
    fields = [line.split(": ")[0] for line in ended.out.splitlines()]
    assert (ended.code, fields) == (2, ["backend.job_queue", "backend.job_definition", "store"])
    assert "there is no job queue `absent` in region us-east-1" in ended.out
    assert "there is no active job definition `none:7`" in ended.out
    assert "bucket" in ended.out


def test_a_disabled_queue_is_named_as_such(hpo, study, aws, site):
    aws.client("batch").update_job_queue(jobQueue=site["backend"]["job_queue"], state="DISABLED")
    ended = hpo("check", study())
    assert ended.code == 2
    assert "backend.job_queue: the job queue is DISABLED: enable it" in ended.out


def test_more_processors_than_any_machine_has(hpo, study):
    trial = {**SPEC["trial"], "resources": {"threads": 65}}
    ended = hpo("check", study(trial=trial))
    assert "trial.resources.threads: asks for 65 vCPUs" in ended.out


def test_a_permission_that_is_missing_is_one_line(hpo, study, aws):
    aws.inject("faults", service="batch", code="AccessDeniedException", status=403, count=None)
    ended = hpo("check", study())
    assert ended.code == 2
    assert ended.out.startswith("backend: Batch: permission denied: docs/aws-setup.md lists")
    assert "Traceback" not in ended.out + ended.err


def test_as_json(hpo, study):
    found = json.loads(hpo("check", study(backend={"job_queue": "absent"}), "--json").out)
    assert found["ok"] is False
    assert [problem["field"] for problem in found["problems"]] == ["backend.job_queue"]
