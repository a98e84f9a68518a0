"""Secrets of a whole study: read when a job starts, checked before anything is created, stored nowhere."""

import hashlib
import sys
import uuid

import pytest
from trials import holding

from hpo_tasks.errors import SpecError, UnavailableError
from hpo_tasks.flow.steps.ask import ask
from hpo_tasks.flow.steps.connections import MAX_SECRET_BYTES, read_secrets
from hpo_tasks.flow.steps.local import open_trial
from hpo_tasks.spec.model import SecretRef
from hpo_tasks.store import open_store
from hpo_tasks.study.plan import Finished
from tests.flow.steps.test_study import Runs

CANARY = f"canary-{uuid.uuid4().hex}"
REFERENCES = {"API_KEY": SecretRef(connection="my_api"), "TOKEN": SecretRef(connection="my_hub")}
SECRETS = {name: {"connection": reference.connection} for name, reference in REFERENCES.items()}
PROGRAM = f"""
import hashlib, json, os
print("key", os.environ["API_KEY"], flush=True)
right = hashlib.sha256(os.environ["API_KEY"].encode()).hexdigest() == {hashlib.sha256(CANARY.encode()).hexdigest()!r}
if float(os.environ["HPO_PARAM_X"]) > 0:
    raise SystemExit("no: " + os.environ["API_KEY"])
open(os.environ["HPO_METRICS"], "w").write(json.dumps({{"loss": int(right)}}))
"""
CHANGES = {"trial": {"command": [sys.executable, "train.py"], "code": {"dir": "code"}, "secrets": SECRETS}}


@pytest.fixture(params=["folder", "s3"])
def runs(request, tmp_path):
    """On S3 the trial's files are staged."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train.py").write_text(PROGRAM)
    if request.param == "folder":
        return Runs(tmp_path)
    s3 = request.getfixturevalue("s3")
    return Runs(tmp_path, open_store(f"s3://{s3.new_bucket()}/hpo", client=s3.client()))


def test_a_study_with_secrets_stores_none_of_their_values(runs, tmp_path):
    """Not in the object store, the ledger, the state of the backend, an outcome or the summary."""
    runs.passwords.update(my_api=CANARY, my_hub="other-value")
    study = runs.prepare(base=tmp_path, **CHANGES)
    opened = lambda batch, slot: open_trial(study, batch, slot, lambda: None, runs.passwords.get)  # noqa: E731
    _, conclusion = runs.run(trials=opened, base=tmp_path, **CHANGES)
    trials = runs.trials(study)
    assert {trial.state for trial in trials} == {"complete", "failed"}
    assert {trial.values["loss"] for trial in trials if trial.state == "complete"} == {1.0}
    assert holding(tmp_path, CANARY) == []
    stored = {key: runs.store.read(key) for key in runs.store.list("")}
    assert [key for key, data in stored.items() if CANARY.encode() in data] == []
    assert sum(b"key ***\n" in data for key, data in stored.items() if key.endswith("log.txt")) == 6
    assert CANARY not in repr(conclusion)
    assert CANARY not in repr(opened(ask_again(runs, study), 0))


def ask_again(runs, study):
    batch = ask(study, runs.ledger, 0)
    assert not isinstance(batch, Finished)
    return batch


def test_prepare_names_every_secret_that_could_not_be_handed_over(runs, tmp_path):
    """All of them, and nothing is created."""
    runs.passwords["my_hub"] = ""
    with pytest.raises(SpecError) as caught:
        runs.prepare(base=tmp_path, **CHANGES)
    assert str(caught.value).splitlines() == [
        "trial.secrets.API_KEY: there is no Airflow connection `my_api`: create it, with the secret as its password",
        "trial.secrets.TOKEN: the Airflow connection `my_hub` has no password: enter the secret there",
    ]
    assert list(runs.store.list("")) == []
    assert runs.ledger.studies() == []


@pytest.mark.parametrize("password", ["", " \n", f"{CANARY}\0", CANARY * MAX_SECRET_BYTES, f"{CANARY}\ud800"])
def test_a_value_that_no_trial_can_get_is_refused_and_not_repeated(password):
    """When it was changed after prepare."""
    with pytest.raises(SpecError, match=r"trial\.secrets\.API_KEY: the .*`my_api`") as caught:
        read_secrets(REFERENCES, ["API_KEY"], {"my_api": password}.get)
    assert "canary" not in str(caught.value)


def test_a_connection_that_is_gone_is_worth_a_retry():
    """Airflow gives the same answer while its server is away, and prepare has seen the connection."""
    with pytest.raises(UnavailableError, match=r"trial\.secrets\.TOKEN: .*`my_hub`"):
        read_secrets(REFERENCES, ["API_KEY", "TOKEN"], {"my_api": CANARY}.get)
