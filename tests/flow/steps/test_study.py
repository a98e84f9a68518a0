"""A whole study through its steps, without Airflow: prepare, rounds of ask, train and tell, conclude."""

import hashlib
import json
import os
import sys
from datetime import UTC, datetime

import pytest

from hpo_tasks.backends.base import JobStatus
from hpo_tasks.errors import ConflictError, RefusedError, SpecError, UnavailableError
from hpo_tasks.flow.settings import Deployment
from hpo_tasks.flow.steps import ask as ask_step
from hpo_tasks.flow.steps.ask import ask, plan_round
from hpo_tasks.flow.steps.conclude import conclude
from hpo_tasks.flow.steps.local import open_trial, tidy
from hpo_tasks.flow.steps.prepare import RunIdentity, Site, prepare
from hpo_tasks.flow.steps.run import open_study
from hpo_tasks.flow.steps.tell import end_of, tell
from hpo_tasks.flow.steps.train import TrialRun
from hpo_tasks.spec import Trust, validate
from hpo_tasks.store import open_store
from hpo_tasks.study.ledger import Ledger
from hpo_tasks.study.plan import Batch, Finished
from hpo_tasks.trial import layout
from hpo_tasks.trial.contract import Outcome, encode_outcome, params_sha256
from hpo_tasks.trial.layout import SlotKey
from tests.flow.airflow_under_test import PROGRAMS, merge

SPEC = {
    "name": "whole",
    "objective": {"metric": "loss", "direction": "minimize"},
    "search": {"x": {"type": "float", "low": -1.0, "high": 1.0}},
    "optimizer": {"sampler": "random", "seed": 3},
    "batch_size": 3,
    "budget": {"trials": 6},
    "trial": {"command": ["true"]},
}


class Jobs:
    """A backend at our own port whose jobs are over at once, with the outcome that `judge` gives for a request."""

    def __init__(self, store, judge):
        self.store, self.judge, self.ended = store, judge, {}

    def submit(self, request):
        if request.job in self.ended:
            return
        fields = {"cls": "complete", "values": {}, "metrics": {}, "reason": "", "duration_s": 1.0}
        fields |= self.judge(request)
        key = SlotKey(request.study, request.round, request.slot)
        outcome = Outcome(
            request.study, request.round, request.slot, request.attempt, spec_digest=request.spec_digest,
            params_sha256=params_sha256(request.params), **fields,
        )  # fmt: skip
        name = key.outcome if outcome.cls == "complete" else key.attempt(request.attempt).report
        self.store.create(name, encode_outcome(outcome))
        self.ended[request.job] = JobStatus("ended")

    def poll(self, jobs):
        return {job: self.ended.get(job, JobStatus("unknown")) for job in jobs}

    def stop(self, job, *, grace_s):
        raise AssertionError(f"{job} is over already")

    def log_tail(self, job):
        return ""


class Runs:
    """Runs studies as a DAG would, one task after the other: rounds with numbers (unrolled), or as they come (a loop)."""

    def __init__(self, folder, store=None, *, numbered=True):
        self.numbered = numbered
        (folder / "store").mkdir(exist_ok=True)
        self.store = store or open_store(str(folder / "store"))
        self.deployment = Deployment(
            "test", f"sqlite:///{folder}/studies.db", None, folder / "jobs", folder / "data", ()
        )
        self.ledger = Ledger(self.deployment.study_db)
        self.passwords = {}
        self.trained = []

    def judge(self, request):
        self.trained.append((request.round, request.slot))
        return {"values": {"loss": request.params["x"] ** 2}}

    def prepare(self, *, run_id="run", day=1, epoch=0, base=None, max_rounds=8, **changes):
        spec = validate(merge(SPEC, changes), trust=Trust.FILE, source="test")
        moment = datetime(2026, 3, day, tzinfo=UTC)
        run = RunIdentity("hpo_whole", run_id, epoch, (moment, moment))
        site = Site(
            self.deployment, self.store, self.ledger, lambda: None, self.passwords.get, base, max_rounds
        )
        return open_study(self.deployment, self.store, prepare(spec, run, site).study)

    def run(self, judge=None, *, rounds=8, trials=None, **keywords):
        """Prepare to conclude; returns (study, conclusion)."""
        study = self.prepare(**keywords)
        backend = Jobs(self.store, judge or self.judge)
        opened = trials or (
            lambda batch, slot: TrialRun(study, batch, slot, backend, {}, 1, sleep=lambda _: None)
        )
        for round_ in range(rounds):
            batch = ask(study, self.ledger, round_ if self.numbered else None)
            if isinstance(batch, Finished):
                break
            for row in batch.configurations:
                opened(batch, row.slot).until_decided()
            tell(study, self.ledger, batch.round, opened)
            if end_of(study, self.ledger):
                break
        return study, conclude(study, self.ledger, opened)

    def trials(self, study):
        return self.ledger.trials(study.pin.study)


@pytest.fixture(params=["unrolled", "loop"])
def runs(request, tmp_path):
    """A folder store and a SQLite ledger."""
    return Runs(tmp_path, numbered=request.param == "unrolled")


def test_exactly_the_budget_is_started(runs):
    """Seven trials in batches of three: 3, 3, 1."""
    study, conclusion = runs.run(budget={"trials": 7})
    assert [sum(t.round == r for t in runs.trials(study)) for r in range(4)] == [3, 3, 1, 0]
    assert (conclusion.state, conclusion.is_success) == ("complete", True)


def test_an_ask_that_was_stopped_opens_no_study_that_has_ended(runs, monkeypatch):
    """SIGSTOP between its plan and its first write; others finish the study; SIGCONT."""
    plan = plan_round(runs.prepare(), runs.ledger, 0)
    assert isinstance(plan, Batch)
    study, _ = runs.run()
    ended = runs.ledger.study(study.pin.study)
    monkeypatch.setattr(ask_step, "plan_round", lambda *_: plan)

    ask(study, runs.ledger, 0)

    now = runs.ledger.study(study.pin.study)
    assert (now.state, now.ended_at, now.counts) == (ended.state, ended.ended_at, ended.counts)
    assert ended.state == "complete"


def test_a_space_that_is_exhausted_ends_the_study(runs):
    """Four configurations are all there are: complete, though the budget is larger."""
    space = {"x": {"type": "categorical", "choices": [1, 2, 3, 4], "low": None, "high": None}}
    study, conclusion = runs.run(search=space, optimizer={"sampler": "grid"}, budget={"trials": 20})
    assert sorted(t.params["x"] for t in runs.trials(study)) == [1, 2, 3, 4]
    assert conclusion.state == "complete"
    assert "exhausted" in conclusion.reason
    again, repeated = runs.run(search=space, optimizer={"sampler": "grid"}, budget={"trials": 20})
    assert (repeated.state, len(runs.trials(again)), len(runs.trained)) == ("complete", 4, 4)


def test_a_failing_study_stops(runs):
    """More than max_failed_share after the first eight; the commonest reason is in the message."""

    def judge(request):
        runs.judge(request)
        failed = {"cls": "user_error", "reason": "exit code 3"}
        return failed if request.slot else {"values": {"loss": 1.0}}

    study, conclusion = runs.run(judge, budget={"trials": 24})
    assert len(runs.trials(study)) == 9
    assert (conclusion.state, conclusion.is_success) == ("failed", False)
    assert "exit code 3" in conclusion.reason


def test_a_study_without_time_left_stops_on_purpose(runs):
    """No round starts that cannot finish by the measured median; the run is a success all the same."""

    def judge(request):
        return runs.judge(request) | {"duration_s": 50.0}

    study, conclusion = runs.run(judge, budget={"trials": 24, "wall_clock": 120})
    assert len(runs.trials(study)) == 3
    assert (conclusion.state, conclusion.is_success) == ("stopped", True)
    assert "wall_clock" in conclusion.reason


def test_an_undecided_trial_fails_the_run_and_is_resumed(runs):
    """Conclude writes what there is; the same run again trains only what is missing."""
    study = runs.prepare()
    batch = ask(study, runs.ledger, 0)
    backend = Jobs(runs.store, runs.judge)

    def opened(batch, slot):
        return TrialRun(study, batch, slot, backend, {}, 1, sleep=lambda _: None)

    opened(batch, 0).until_decided()
    unfinished = conclude(study, runs.ledger, opened)
    assert (unfinished.state, unfinished.is_success) == ("failed", False)
    assert [t.state for t in runs.trials(study)] == ["complete", "failed", "failed"]
    _, conclusion = runs.run()
    assert conclusion.state == "complete"
    assert {t.state for t in runs.trials(study)} == {"complete"}
    assert len(runs.trained) == len(set(runs.trained)) == 6


def test_a_loop_that_is_cleared_goes_on_where_the_ledger_is(runs):
    """Whichever pass of the loop is run again: the open round is asked, the same way, until the study is at its end."""
    study = runs.prepare()
    backend = Jobs(runs.store, runs.judge)

    def opened(batch, slot):
        return TrialRun(study, batch, slot, backend, {}, 1, sleep=lambda _: None)

    first = ask(study, runs.ledger, None)
    assert ask(study, runs.ledger, None).configurations == first.configurations
    opened(first, 0).until_decided()
    conclude(study, runs.ledger, opened)  # the run failed here
    assert ask(study, runs.ledger, None).configurations == first.configurations
    tell(study, runs.ledger, 0, opened)
    assert end_of(study, runs.ledger) is None
    second = ask(study, runs.ledger, None)
    assert (second.round, len(second.configurations)) == (1, 3)
    tell(study, runs.ledger, 0, opened)  # an earlier pass, cleared meanwhile
    assert end_of(study, runs.ledger) is None
    tell(study, runs.ledger, 1, opened)
    assert "6 trials" in end_of(study, runs.ledger)
    assert isinstance(ask(study, runs.ledger, None), Finished)


def test_the_reason_of_the_end_is_short_enough_for_airflow(runs):
    """Airflow fails a loop's gate whose reason is longer than 512 bytes of UTF-8."""

    def judge(_):
        return {"cls": "user_error", "reason": "ä" * 1000}

    study, conclusion = runs.run(judge)
    assert conclusion.state == "failed"
    assert 300 < len(end_of(study, runs.ledger).encode()) <= 400


def test_the_budget_may_grow_under_the_same_epoch(runs):
    """What is recorded stays; only the additional trials are trained."""
    runs.run()
    study, conclusion = runs.run(budget={"trials": 9})
    assert (len(runs.trials(study)), conclusion.state) == (9, "complete")
    assert len(runs.trained) == len(set(runs.trained)) == 9


def test_the_search_may_not(runs):
    """Another search space under the same epoch is refused, and nothing changes; another epoch starts anew."""
    study, _ = runs.run()
    before = runs.trials(study)
    with pytest.raises(ConflictError, match="epoch"):
        runs.run(search={"x": {"high": 2.0}})
    assert runs.trials(study) == before
    other, conclusion = runs.run(search={"x": {"high": 2.0}}, epoch=1)
    assert (other.pin.study == study.pin.study, conclusion.state) == (False, "complete")


def test_a_study_stays_in_its_store(runs, tmp_path):
    """Another store under the same epoch would lose the outcomes of an open round."""
    study, _ = runs.run()
    (tmp_path / "other").mkdir()
    runs.store = open_store(str(tmp_path / "other"))
    with pytest.raises(ConflictError, match="store"):
        runs.prepare(trial={"code": {"dir": str(PROGRAMS)}})
    assert list(runs.store.list("")) == []
    assert len(runs.trials(study)) == 6


def test_code_of_a_prepare_that_died_is_replaced(runs, tmp_path, monkeypatch):
    """Killed between archive and pin, then the code was edited: trials run what the pin says."""

    def down(*_):
        raise UnavailableError("the store does not answer")

    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train.py").write_text("old")
    code = {"trial": {"code": {"dir": str(tmp_path / "code")}}}
    with monkeypatch.context() as patch:
        patch.setattr("hpo_tasks.flow.steps.prepare.pin", down)
        with pytest.raises(UnavailableError):
            runs.prepare(**code)
    (tmp_path / "code" / "train.py").write_text("new")
    pinned = runs.prepare(**code).pin.code
    archive = runs.store.read(pinned["archive"])
    assert hashlib.sha256(archive).hexdigest() == pinned["sha256"]


def test_previous_best_is_tried_first(runs):
    """The last study's best, run again in slot 0, as far as it fits the space of today."""
    first, _ = runs.run()
    best = min(runs.trials(first), key=lambda t: t.values["loss"])
    second, _ = runs.run(run_id="next", day=2, initial=["previous_best"])
    assert runs.trials(second)[0].params == best.params
    assert runs.trials(second)[0].source == "initial"
    third, _ = runs.run(run_id="third", day=3, initial=["previous_best"], search={"x": {"low": 0.9999}})
    assert 0.9999 <= runs.trials(third)[0].params["x"] <= 1.0


def test_several_objectives_and_thresholds(runs):
    """The best is the Pareto front among the trials that keep the thresholds; each one's model is kept."""

    def judge(request):
        x = request.params["x"]
        return {"values": {"loss": x, "cost": -x}, "metrics": {"latency_ms": 100.0 * x}}

    _, conclusion = runs.run(
        judge,
        objective=[{"metric": "loss", "direction": "minimize"}, {"metric": "cost", "direction": "minimize"}],
        thresholds={"latency_ms": {"max": 50.0}},
        optimizer={"sampler": "nsga2"},
    )
    assert conclusion.state == "complete"
    assert all(row["params"]["x"] <= 0.5 for row in conclusion.summary["best"])
    assert conclusion.summary["best"]


def test_refused_input_creates_nothing(runs, tmp_path):
    """Missing inputs, too many rounds, a missing code folder: no object, no study."""
    for changes in (
        {"trial": {"inputs": {"train": "missing.csv"}}},
        {"budget": {"trials": 24}},
        {"trial": {"code": {"dir": "missing"}}},
    ):
        with pytest.raises(SpecError):
            runs.prepare(max_rounds=4, base=tmp_path, **changes)
    assert list(runs.store.list("")) == []
    assert runs.ledger.studies() == []


def test_a_store_without_permission_is_refused(runs, tmp_path):
    """Before any trial starts, naming the store."""
    missing = Runs(tmp_path, open_store(str(tmp_path / "file")))
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(RefusedError, match="file"):
        missing.prepare()


@pytest.fixture
def on_s3(s3, tmp_path):
    """The store on S3; the trial's files are staged, so that it needs no credentials."""
    return Runs(tmp_path, open_store(f"s3://{s3.new_bucket()}/hpo", client=s3.client()))


def test_local_trials_with_a_store_on_s3(on_s3, tmp_path):
    """Code, request, model and outcome pass through the staging folder; nothing of it stays behind."""
    ledger_file = tmp_path / "trained.jsonl"
    changes = {
        "search": {"y": {"type": "float", "low": -1.0, "high": 1.0}},
        "batch_size": 1,
        "budget": {"trials": 2},
        "trial": {
            "command": [sys.executable, "train.py"],
            "code": {"dir": str(PROGRAMS)},
            "env": {"LEDGER": str(ledger_file), "SECONDS_OF_WORK": "0"},
        },
    }
    study = on_s3.prepare(**changes)
    study, conclusion = on_s3.run(
        trials=lambda batch, slot: open_trial(study, batch, slot, lambda: None, {}.get), **changes
    )
    assert conclusion.state == "complete"
    best = conclusion.summary["best"][0]
    model = on_s3.store.read(f"{layout.best_prefix(study.pin.study)}model.json")
    assert json.loads(model) == best["params"]
    assert conclusion.summary["model"] == f"{on_s3.store.uri}/{layout.best_prefix(study.pin.study)}"
    keys = set(on_s3.store.list(layout.study_prefix(study.pin.study)))
    for trial in on_s3.trials(study):
        slot = SlotKey(study.pin.study, trial.round, trial.slot)
        assert {slot.outcome, slot.attempt(1).request, f"{slot.attempt(1).model}model.json"} <= keys
    assert len(ledger_file.read_text().splitlines()) == 4
    old, recent = (tmp_path / "jobs" / "inputs" / name for name in ("old", "recent"))
    for folder in (old, recent):
        folder.mkdir(parents=True)
    os.utime(old, (1, 1))
    tidy(study)
    left = {path for path in (tmp_path / "jobs").rglob("*") if study.pin.study in path.name}
    assert (left, old.exists(), recent.exists()) == (set(), False, True)
