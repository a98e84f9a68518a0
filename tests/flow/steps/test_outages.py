"""Outages, short: what a task says while something is away, and that it goes on where it was when it is back.

At full length, on a real Airflow: `make outages`.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from fault_proxy import Fault
from postgres_server import PostgresServer

from hpo_tasks.backends.base import JobStatus
from hpo_tasks.errors import UnavailableError
from hpo_tasks.flow.steps import attempts
from hpo_tasks.flow.steps.ask import ask
from hpo_tasks.flow.steps.batch import Configuration, RoundBatch
from hpo_tasks.flow.steps.pin import pin
from hpo_tasks.flow.steps.run import OpenStudy
from hpo_tasks.flow.steps.tell import tell
from hpo_tasks.flow.steps.train import TrialRun
from hpo_tasks.store.s3_store import S3Store
from hpo_tasks.study.ledger import Ledger
from hpo_tasks.study.records import StudyHeader
from hpo_tasks.trial.contract import Outcome, encode_outcome, params_sha256
from hpo_tasks.trial.layout import SlotKey
from hpo_tasks.trial.retries import Retries
from tests.flow.steps.conftest import ScriptedBackend, pin_of, spec_with

CASES = Path(__file__).with_name("small_disk_cases.py")
BATCH = RoundBatch(0, (Configuration(0, 0, {"x": 0.5}, 1),))


def completed(request):
    return Outcome(
        request.study, request.round, request.slot, request.attempt, "complete", request.spec_digest,
        params_sha256(request.params), values={"loss": 0.25},
    )  # fmt: skip


@pytest.fixture(scope="module")
def database():
    """A PostgreSQL server of its own, because it is stopped."""
    server = PostgresServer().start()
    yield server
    server.stop()


def test_the_study_database_goes_away_and_comes_back(study, store, database):
    """Ask and tell say so in one line without the password, again and again; then they go on, each trial once."""
    url = database.create_database("studies").replace("hpo@", "hpo:secret@")
    header = StudyHeader(
        "study", "steps", "hpo_steps", "run", 0, "test", "same", study.pin.spec.objective, store=""
    )
    with Ledger(url) as ledger:
        ledger.create(header)
        batch = ask(study, ledger, 0)
    trials = [TrialRun(study, batch, slot, ScriptedBackend(), {}, 1) for slot in (0, 1)]
    for trial in trials:
        store.create(SlotKey("study", 0, trial.slot).outcome, encode_outcome(completed(trial.request(1))))
    database.crash()
    for _ in range(2):
        with pytest.raises(
            UnavailableError, match=r"^study database postgresql://127\.0\.0\.1:\d+/studies: "
        ) as told:
            Ledger(url)  # what every task begins with
        assert "\n" not in str(told.value)
        assert "secret" not in str(told.value)
    database.start_again()
    with Ledger(url) as ledger:
        assert ask(study, ledger, 0) == batch
        assert len(tell(study, ledger, 0, lambda _, slot: trials[slot]).told) == 2
        assert {(trial.slot, trial.state) for trial in ledger.trials("study")} == {
            (0, "complete"),
            (1, "complete"),
        }


def test_a_connection_that_was_open_when_the_database_went_away_is_of_no_use(study, database):
    """The task that held it fails with one message, and the same ledger works again later."""
    url = database.create_database("open")
    with Ledger(url) as ledger:
        ledger.create(
            StudyHeader(
                "study", "steps", "hpo_steps", "run", 0, "test", "same", study.pin.spec.objective, store=""
            )
        )
        database.crash()
        with pytest.raises(UnavailableError, match=r"^study database"):
            ask(study, ledger, 0)
        database.start_again()
        assert len(ask(study, ledger, 0).configurations) == 2


def test_tell_records_what_the_store_says_whatever_became_of_the_tasks(study, store):
    """No train task came to an end, for whatever reason Airflow had: the jobs' outcomes count all the same, once."""
    with Ledger(study.deployment.study_db) as ledger:
        ledger.create(
            StudyHeader(
                "study", "steps", "hpo_steps", "run", 0, "test", "same", study.pin.spec.objective, store=""
            )
        )
        batch = ask(study, ledger, 0)
        backend = ScriptedBackend()
        trials = [TrialRun(study, batch, slot, backend, {}, 1) for slot in (0, 1)]
        for trial in trials:
            store.create(SlotKey("study", 0, trial.slot).outcome, encode_outcome(completed(trial.request(1))))
        first, second = (tell(study, ledger, 0, lambda _, slot: trials[slot]) for _ in range(2))
        assert (len(first.told), len(second.told), len(second.already)) == (2, 0, 2)
        assert {trial.state for trial in ledger.trials("study")} == {"complete"}
        assert backend.stopped == []


def test_the_s3_store_goes_away_and_comes_back(deployment, s3, proxy):
    """The job is neither stopped nor started twice; the retry adopts it and finds its outcome."""
    client = s3.client(proxy.endpoint)
    store = S3Store(s3.new_bucket(), "hpo", client=client, retries=Retries(0.5))
    study = OpenStudy(deployment, store, pin(store, pin_of(spec_with())))
    backend = ScriptedBackend(lambda _: JobStatus("running"))
    TrialRun(study, BATCH, 0, backend, {}, 1, sleep=lambda _: None).advance()
    proxy.choose = lambda method: Fault("drop", method)
    for _ in range(2):
        with pytest.raises(
            UnavailableError, match=r"^s3://\S+ S3 does not answer: .* \(tried \d+ times in 0\.5 s\)$"
        ):
            TrialRun(study, BATCH, 0, backend, {}, 1).until_decided()
    proxy.reset()
    retry = TrialRun(study, BATCH, 0, backend, {}, 1, sleep=lambda _: None)
    assert retry.advance() is None
    attempts.commit(store, completed(backend.submitted[0]))
    assert retry.until_decided().cls == "complete"
    assert (len(backend.submitted), backend.stopped) == (1, [])


def test_disks_that_are_full_or_read_only():
    """The cases of small_disk_cases.py, in a mount namespace of their own, so that nothing stays mounted."""
    command = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-m", "pytest", "-q", CASES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
