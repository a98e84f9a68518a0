"""A trial with the rights of its role and no others: the runner itself, S3 over HTTP, the policies in between."""

import os
import subprocess
import sys

import pytest

from hpo_tasks.store.s3_store import S3Store
from hpo_tasks.trial.contract import decode_outcome
from hpo_tasks.trial.objects import open_objects
from hpo_tasks.trial.retries import Retries
from tests.infra.policy_proxy import PolicyProxy
from tests.infra.rendering import BUCKET, Rendered
from tests.trials import DEADLINE_S, Study

PROGRAM = """#!/bin/sh
echo "resumed at $(cat "$HPO_CHECKPOINT_DIR/step" 2>/dev/null)"
echo 5 > "$HPO_CHECKPOINT_DIR/step"
echo weights > "$HPO_MODEL_DIR/model.bin"
echo "{\\"loss\\": $HPO_PARAM_LR}" >> "$HPO_METRICS"
%s
"""


class Trial:
    """A study on S3 behind the policies of a role.

    Attributes:
        objects: the store past the policies, as a test sees it.
        proxy: the policies.
    """

    def __init__(self, folder, s3, role) -> None:
        bucket = s3.new_bucket()
        documents = Rendered().policy(role, "BucketPolicy")
        self.objects = open_objects(f"s3://{bucket}/hpo", client=s3.client())
        self.proxy = PolicyProxy(s3.endpoint, documents, bucket=bucket, known_as=BUCKET)
        self._study, self._s3, self._folder = Study(folder), s3, folder

    def request(self, ending="true", **fields):
        """Write a request, as the control plane does; its key."""
        program = self._study.program("train.sh", PROGRAM % ending)
        request = self._study.request([program], params={"lr": 0.5}, **fields)
        for key in self._study.objects.list(""):
            self.objects.upload(key, self._study.root / key)
        return self._study.key(request)

    def run(self, request_key):
        """Run the runner to its end."""
        return subprocess.run(
            [sys.executable, "-P", "-m", "hpo_tasks.trial", f"{self.objects.uri}/{request_key}"],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": os.pathsep.join(sys.path),
                "HPO_SCRATCH": str(self._folder),
                **self._s3.environment(self.proxy.endpoint),
            },
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )


@pytest.fixture(params=["BatchTrialRole", "FleetRole", "SageMakerRole"])
def trial(request, tmp_path, s3):
    trial = Trial(tmp_path, s3, request.param)
    yield trial
    trial.proxy.close()


def test_a_trial_runs_from_its_request_to_its_outcome_with_its_rights_alone(trial):
    key = trial.request()
    done = trial.run(key.request)
    assert (done.returncode, done.stderr) == (0, "")
    outcome = decode_outcome(trial.objects.read(key.trial.outcome))
    assert (outcome.cls, outcome.values) == ("complete", {"loss": 0.5})
    assert {each["path"] for each in outcome.artifacts} >= {"model/model.bin", "log.txt", "reports.jsonl"}
    assert trial.objects.read(f"{key.model}model.bin") == b"weights\n"
    # It looked for what may not be there (outcome, stop), and S3 says "denied" of that to who may not list.
    assert {method for method, _ in trial.proxy.denied} == {"GET"}


def test_a_second_attempt_resumes_from_the_checkpoint_of_the_first(trial):
    first = trial.request("exit 143", attempt=1)
    assert trial.run(first.request).returncode == 0
    assert trial.objects.read(first.trial.outcome) is None
    assert trial.objects.read(first.report) is not None
    second = trial.request(attempt=2)
    assert trial.run(second.request).returncode == 0
    assert b"resumed at 5" in trial.objects.read(second.log)
    assert decode_outcome(trial.objects.read(second.trial.outcome)).attempts == 2


def test_a_trial_that_is_asked_to_stop_sees_it(trial):
    key = trial.request("while [ ! -e $HPO_STOP ]; do sleep 0.1; done")
    trial.objects.write(key.trial.stop, b'{"reason": "enough"}')
    assert trial.run(key.request).returncode == 0
    assert decode_outcome(trial.objects.read(key.report)).cls == "stopped"


def test_a_decided_trial_is_left_alone(trial):
    key = trial.request()
    trial.objects.create(key.trial.outcome, b"decided")
    assert trial.run(key.request).returncode == 0
    assert trial.objects.read(key.trial.outcome) == b"decided"
    assert trial.objects.read(key.started) is None


def test_a_runner_that_may_not_read_its_request_says_so(trial):
    key = trial.request()
    elsewhere = f"elsewhere/{key.request}"
    trial.objects.write(elsewhere, trial.objects.read(key.request))
    done = trial.run(elsewhere)
    assert done.returncode == 2
    assert "or it may not be read" in done.stderr


def test_the_control_plane_keeps_its_store_with_its_rights_alone(s3):
    """The probe creates, races, replaces, copies, lists and deletes."""
    bucket = s3.new_bucket()
    documents = Rendered().policy("StorePolicy", "BucketPolicy")
    proxy = PolicyProxy(s3.endpoint, documents, bucket=bucket, known_as=BUCKET)
    try:
        store = S3Store(bucket, "hpo", client=s3.client(proxy.endpoint), retries=Retries(0))
        store.probe()
        assert store.read("studies/a/000/0001/outcome.json") is None
        assert store.create("studies/a/000/0001/outcome.json", b"decided")
        assert not store.create("studies/a/000/0001/outcome.json", b"again")
        assert proxy.denied == []
        with pytest.raises(Exception, match="permission denied"):
            store.write("studies/a/000/0001/outcome.json", b"replaced")
        assert store.read("studies/a/000/0001/outcome.json") == b"decided"
    finally:
        proxy.close()
