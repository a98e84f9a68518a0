"""What a local job leaves in the staging folder comes to the store, whatever a hostile one leaves."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from hpo_tasks.flow.steps import attempts
from hpo_tasks.flow.steps.batch import Configuration, RoundBatch
from hpo_tasks.flow.steps.staging import Staging
from hpo_tasks.flow.steps.train import TrialRun
from hpo_tasks.store import open_store
from tests.flow.steps.conftest import ScriptedBackend

BATCH = RoundBatch(0, (Configuration(0, 0, {"x": 0.5}, 1),))


@pytest.fixture
def local(tmp_path):
    (tmp_path / "staging").mkdir()
    return open_store(str(tmp_path / "staging"))


@pytest.fixture
def request_(study, store, local):
    """The request of a job that was started and is dead."""
    trial = TrialRun(study, BATCH, 0, ScriptedBackend(), {}, 1, staging=Staging(store, local))
    return trial.request(1)


def test_a_model_file_may_have_the_name_of_a_report(store, local, request_):
    """Only the attempt's own report and the trial's outcome are commit markers."""
    key = attempts.request_key(request_)
    for name in ("model/report.json", "model/outcome.json"):
        local.write(f"{key}{name}", b"the model")
    Staging(store, local).collect(request_)
    assert store.read(f"{key}model/report.json") == store.read(f"{key}model/outcome.json") == b"the model"
    assert list(local.list("")) == []


@pytest.mark.parametrize("deed", ["link", "huge"])
@pytest.mark.parametrize("marker", ["report", "outcome"])
def test_what_is_no_outcome_decides_the_trial_as_failed(store, local, request_, deed, marker):
    """Neither an error that blocks the study, nor a file of any size read whole."""
    key = attempts.request_key(request_)
    name = key.report if marker == "report" else key.trial.outcome
    place = Path(unquote(urlsplit(local.uri).path)) / name
    place.parent.mkdir(parents=True, exist_ok=True)
    if deed == "link":
        place.symlink_to("/etc/hostname")
    else:
        place.write_bytes(b" " * (attempts.MAX_OUTCOME_BYTES + 1))
    store.create(key.request, b"{}")
    Staging(store, local).collect(request_)
    assert store.read(name) == b""
    assert attempts.newest_attempt(store, request_).report or attempts.read_outcome(store, request_)
    assert not place.is_symlink()
    assert not place.exists()
