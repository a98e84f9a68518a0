"""Conclude after a run that broke off: it records what there is and says what is missing."""

import pytest

from hpo_tasks.backends.base import JobStatus
from hpo_tasks.errors import UnavailableError
from hpo_tasks.flow.steps import ask as ask_step
from hpo_tasks.flow.steps.ask import ask
from hpo_tasks.flow.steps.conclude import conclude
from hpo_tasks.trial import layout
from hpo_tasks.trial.contract import encode_outcome
from hpo_tasks.trial.layout import SlotKey
from tests.flow.steps.conftest import ScriptedBackend
from tests.flow.steps.test_study import Runs
from tests.flow.steps.test_train import outcome_of, trial_of


@pytest.fixture
def runs(tmp_path):
    return Runs(tmp_path)


def test_an_ask_that_broke_off_before_it_handed_out_its_round(runs, monkeypatch):
    """Trials in the ledger, no batch in the store: conclude writes its summary all the same."""

    def down(*_):
        raise UnavailableError("the store does not answer")

    study = runs.prepare()
    monkeypatch.setattr(ask_step, "write_batch", down)
    with pytest.raises(UnavailableError):
        ask(study, runs.ledger, 0)
    conclusion = conclude(study, runs.ledger, lambda *_: pytest.fail("no trial of the round has begun"))
    assert conclusion.state == "failed"
    assert runs.store.read(layout.summary_key(study.pin.study))
    assert [t.state for t in runs.trials(study)] == ["failed"] * 3


def test_what_a_job_commits_as_its_last_deed_is_recorded(runs):
    """It finished while conclude was ending it, or its outcome lay uncollected in the staging folder."""

    class FinishesWhenStopped(ScriptedBackend):
        def stop(self, job, *, grace_s):
            super().stop(job, grace_s=grace_s)
            request = next(request for request in self.submitted if request.job == job)
            outcome = outcome_of(request, values={"loss": request.params["x"]})
            runs.store.create(SlotKey(request.study, 0, request.slot).outcome, encode_outcome(outcome))

    study = runs.prepare(budget={"trials": 1})
    batch = ask(study, runs.ledger, 0)
    trial = trial_of(study, FinishesWhenStopped(lambda _: JobStatus("running")), batch)
    trial.advance()
    assert conclude(study, runs.ledger, lambda *_: trial).state == "complete"
