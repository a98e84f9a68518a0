"""What descriptions of AWS Batch jobs mean."""

import pytest

from hpo_tasks.backends.base import JobStatus
from hpo_tasks.backends.batch_status import status_of, waited_s

FAILURES = [
    ("Host EC2 (instance i-0a1b2c) terminated.", {}, "interrupted", "its host went away"),
    ("Host EC2 (instance i-0a1b2c) terminated.", {"exitCode": 137}, "interrupted", "its host went away"),
    ("Essential container in task exited", {"exitCode": 137, "reason": "OutOfMemoryError: Container killed due to memory usage"}, "oom", "out of memory"),
    ("Job attempt duration exceeded timeout", {}, "timeout", "the job's time limit"),
    ("Task failed to start", {"reason": "CannotPullContainerError: pull access denied"}, "infra", "the image cannot be pulled"),
    ("Task failed to start", {"reason": "CannotPullContainerError: dial tcp 10.0.0.1:443: i/o timeout"}, "infra", "the image cannot be pulled"),
    ("Task failed to start", {"reason": "DockerTimeoutError: Could not transition to started; timed out"}, "infra", "the container cannot be started"),
    ("Task failed to start", {"reason": "CannotPullContainerError: registry/hpo: latest not found"}, "infra", "the image cannot be pulled"),
    ("Task failed to start", {"reason": "ResourceInitializationError: unable to pull secrets"}, "infra", "the host could not be prepared"),
    ("Essential container in task exited", {"exitCode": 75}, "infra", "exit code 75"),
    ("Essential container in task exited", {"exitCode": 137}, "infra", "exit code 137"),
    ("hpo: its task was taken away", {"exitCode": 143}, "interrupted", "its task was taken away"),
    (None, {}, "infra", "does not say why"),
]  # fmt: skip


@pytest.mark.parametrize(("said", "container", "cls", "reason"), FAILURES)
def test_a_failed_job_has_a_class_and_a_reason(said, container, cls, reason):
    status = status_of({"status": "FAILED", "statusReason": said, "container": container})
    assert (status.state, status.cls) == ("ended", cls)
    assert reason in status.reason


def test_a_bare_sigkill_is_no_evidence_of_memory():
    """Only Batch's word for it is: `oom` decides a trial, `infra` tries it again."""
    assert status_of({"status": "FAILED", "container": {"exitCode": 137}}).cls == "infra"


@pytest.mark.parametrize(
    ("states", "state"),
    [
        (("SUBMITTED", "PENDING", "RUNNABLE"), "pending"),
        (("STARTING", "RUNNING"), "running"),
        (("SUCCEEDED",), "ended"),
    ],
)
def test_a_job_on_its_way_has_no_class(states, state):
    assert {status_of({"status": each}) for each in states} == {JobStatus(state)}


def test_only_a_job_without_capacity_waits():
    made = {"createdAt": 1_000_000}
    assert waited_s({**made, "status": "RUNNABLE"}, now_s=1060.0) == 60.0
    assert waited_s({**made, "status": "RUNNING"}, now_s=1060.0) == 0.0


def test_control_characters_of_a_reason_do_not_reach_a_log():
    status = status_of({"status": "FAILED", "statusReason": "first\n\x1b[2Jsecond", "container": {}})
    assert status.reason.isprintable()
