"""What happens on a disk that is full or read-only. Run by test_outages.py in a mount namespace of its own.

The name keeps pytest from collecting it elsewhere: it mounts file systems.
"""

import subprocess
from contextlib import contextmanager, suppress

import pytest
from trials import Study, marked, until

from hpo_tasks.backends.base import JobStatus
from hpo_tasks.backends.local import LocalBackend
from hpo_tasks.errors import RefusedError, UnavailableError
from hpo_tasks.flow.steps.ask import ask
from hpo_tasks.flow.steps.batch import Configuration, RoundBatch, read_batch
from hpo_tasks.flow.steps.train import TrialRun
from hpo_tasks.store import open_store
from hpo_tasks.study.ledger import Ledger
from hpo_tasks.study.records import StudyHeader
from tests.flow.steps.conftest import ScriptedBackend

BATCH = RoundBatch(0, (Configuration(0, 0, {"x": 0.5}, 1),))
WAITING = '#!/bin/sh\nuntil test -e "$GATE"; do sleep 0.05; done\necho \'{"loss": 1}\' > $HPO_METRICS\n'
FILLING = "#!/bin/sh\ncat /dev/zero > filler 2> /dev/null || exit 1\n"


@contextmanager
def small_disk(folder):
    """A file system of 24 MiB at the folder."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk):
    """Leave not one byte; the file to delete."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1):
            with suppress(OSError):
                while True:
                    file.write(b"x" * size)
    return filler


@pytest.fixture
def disk(tmp_path):
    """The disk of the object store, still empty."""
    with small_disk(tmp_path / "store") as folder:
        yield folder


@pytest.fixture
def store(disk):
    """The steps' store, on the small disk."""
    return open_store(str(disk))


@pytest.fixture
def ledger(study):
    pin = study.pin
    with Ledger(study.deployment.study_db) as ledger:
        ledger.create(
            StudyHeader(
                pin.study,
                "steps",
                pin.dag_id,
                pin.run_id,
                0,
                pin.digest,
                "same",
                pin.spec.objective,
                store="",
            )
        )
        yield ledger


def test_ask_waits_for_space_and_then_hands_out_the_same_batch(study, ledger, disk):
    """One message names disk and remedy; nothing half-written is in the way afterwards."""
    filler = fill(disk)
    with pytest.raises(UnavailableError, match=r"^disk full at .*/batch\.json: free some space$"):
        ask(study, ledger, 0)
    asked = {trial.number: trial.params for trial in ledger.trials("study")}
    filler.unlink()
    batch = ask(study, ledger, 0)
    assert {row.number: row.params for row in batch.configurations} == asked
    assert read_batch(study.store, "study", 0) == batch


def test_no_attempt_is_spent_while_the_store_is_full(study, disk):
    """A job that is lost meanwhile is found lost when there is space again, once."""
    backend = ScriptedBackend(lambda _: JobStatus("ended"), lambda _: JobStatus("running"))
    trial = TrialRun(study, BATCH, 0, backend, {}, 1, sleep=lambda _: None)
    trial.advance()
    filler = fill(disk)
    for _ in range(5):
        with pytest.raises(UnavailableError, match="disk full"):
            TrialRun(study, BATCH, 0, backend, {}, 1).until_decided()
    filler.unlink()
    while len(backend.submitted) < 2:
        trial.advance()
    assert [request.attempt for request in backend.submitted] == [1, 2]


def test_a_trained_trial_waits_for_space_to_write_its_outcome(tmp_path):
    """The training is not done again."""
    study, gate = Study(tmp_path), tmp_path / "gate"
    with small_disk(study.root) as disk:
        request = study.request([study.program("train.sh", WAITING)], env={"GATE": str(gate)})
        runner = study.start(request)
        try:
            until(lambda: marked(study.marker), "the program is up")
            filler = fill(disk)
            gate.touch()
            until(lambda: not marked(study.marker), "the program has ended")
            assert study.find(request) is None
            assert runner.poll() is None
            filler.unlink()
            _, errors = runner.communicate(timeout=30)
            assert (runner.returncode, errors) == (0, "")
            assert study.outcome(request).cls == "complete"
        finally:
            study.end()


def test_no_trial_starts_without_room_to_work_in(tmp_path):
    """Submitting says so and spends no attempt; with room the same job runs."""
    study = Study(tmp_path)
    with small_disk(tmp_path / "state") as state:
        backend = LocalBackend(study.root, state)
        request = study.request(["true"])
        filler = fill(state)
        with pytest.raises(UnavailableError, match=r"^disk full at .*: 0 MiB are free, a trial needs 16 MiB"):
            backend.submit(request)
        assert backend.poll([request.job])[request.job].state == "unknown"
        filler.unlink()
        backend.submit(request)
        until(lambda: backend.poll([request.job])[request.job].state == "ended", "the job has ended")
        assert study.outcome(request).cls == "user_error"  # `true` reports nothing


def test_a_program_that_failed_on_a_full_disk_is_tried_again(tmp_path):
    """It is not the user's error."""
    study = Study(tmp_path)
    with small_disk(tmp_path / "scratch"):
        outcome = study.run([study.program("fill.sh", FILLING)])
    assert (outcome.cls, outcome.reason) == ("infra", "disk full on the trial's host (exit code 1)")


def test_a_read_only_store_is_refused_in_one_sentence(study, ledger, disk):
    """Waiting does not mend it; once it is mended, the same call goes on."""
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(RefusedError, match=r"is on a read-only file system: mount it writable"):
        ask(study, ledger, 0)
    with pytest.raises(RefusedError, match=r"is on a read-only file system: mount it writable"):
        study.store.probe()
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    assert len(ask(study, ledger, 0).configurations) == 2
