"""What `keep` lets go, as a pure decision."""

from datetime import UTC, datetime, timedelta

import pytest

from hpo_tasks.spec.model import Keep, Objective
from hpo_tasks.study.records import StudyHeader, StudyRecord, TrialRecord
from hpo_tasks.study.retention import is_expired, superfluous
from hpo_tasks.trial.layout import (
    SlotKey,
    batch_key,
    best_prefix,
    code_key,
    spec_key,
    study_prefix,
    summary_key,
)

STUDY = "abcdefghijklmnopqrstuvwxyz"
NOW = datetime(2026, 1, 31, tzinfo=UTC)


def study(state: str = "complete", *, ended_days_ago: float | None = 10) -> StudyRecord:
    header = StudyHeader(
        study_id=STUDY, name="x", dag_id="hpo_x", run_id="r", epoch=0, deployment="d", identity="",
        objectives=(Objective(metric="loss", direction="minimize"),),
    )  # fmt: skip
    ended = None if ended_days_ago is None else NOW - timedelta(days=ended_days_ago)
    return StudyRecord(header=header, state=state, reason="", created_at=NOW, ended_at=ended, counts={})


def trial(slot: int, loss: float | None, *, told: bool = True) -> TrialRecord:
    return TrialRecord(
        number=slot, round=0, slot=slot, state="failed" if loss is None else "complete", params={}, seed=1,
        values=None if loss is None else {"loss": loss}, outcome_digest="d" if told else "",
    )  # fmt: skip


TRIALS = [trial(0, 0.5), trial(1, 0.25), trial(2, None), trial(3, None, told=False)]


def files(slot: int) -> set[str]:
    """The models and checkpoints of a slot."""
    first, second = (SlotKey(STUDY, 0, slot).attempt(number) for number in (1, 2))
    return {
        f"{first.checkpoint}a/b",
        first.checkpoint_list,
        f"{second.model}deep/m.bin",
        f"{first.model}m.bin",
    }


RECORDS = {
    spec_key(STUDY, 0), batch_key(STUDY, 0), summary_key(STUDY), code_key(STUDY), f"{study_prefix(STUDY)}report.html",
    *(SlotKey(STUDY, 0, slot).outcome for slot in range(4)), SlotKey(STUDY, 0, 0).attempt(1).log,
    SlotKey(STUDY, 0, 0).attempt(1).reports, SlotKey(STUDY, 0, 0).attempt(1).request,
}  # fmt: skip
COPY = {f"{best_prefix(STUDY)}m.bin"}
EVERYTHING = RECORDS | COPY | files(0) | files(1) | files(2) | files(3) | files(4)


@pytest.mark.parametrize(
    ("keep", "state", "expected"),
    [
        ("best", "complete", files(0) | files(2)),
        ("none", "complete", files(0) | files(1) | files(2) | COPY),
        ("all", "complete", set()),
        ("best", "failed", files(0) | files(2)),
        ("best", "running", set()),
        ("none", "running", set()),
    ],
)
def test_models_and_checkpoints_go_and_records_stay(keep: str, state: str, expected: set[str]) -> None:
    """Slot 1 is the best; slot 3 has no outcome and slot 4 no trial, so neither is touched."""
    assert set(superfluous(study(state), Keep(models=keep), TRIALS, EVERYTHING)) == expected


def test_without_a_best_all_models_of_decided_trials_go() -> None:
    assert set(superfluous(study(), Keep(), [trial(0, None)], EVERYTHING)) == files(0)


@pytest.mark.parametrize(
    ("days", "ended_days_ago", "state", "expected"),
    [
        (9, 10, "complete", True),
        (11, 10, "complete", False),
        (9, 10, "failed", True),
        (9, 10, "stopped", True),
        (9, 10, "running", False),
        (9, None, "running", False),
        (None, 10_000, "complete", False),
    ],
)
def test_old_studies_go(days: int | None, ended_days_ago: float | None, state: str, expected: bool) -> None:
    record = study(state, ended_days_ago=ended_days_ago)
    assert is_expired(record, Keep(days=days), pointed_at=frozenset(), now=NOW) is expected


def test_the_study_that_a_pointer_names_stays_for_ever() -> None:
    assert not is_expired(study(ended_days_ago=10_000), Keep(days=1), pointed_at={STUDY}, now=NOW)
