"""How far a study is, and how long it may take."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from hpo_tasks.report.progress import left, line, panel, progress, time_left_s
from hpo_tasks.spec import StudySpec, Trust, validate
from hpo_tasks.study.records import TrialRecord

BEGAN = datetime(2026, 1, 31, 2, 0, tzinfo=UTC)


def spec(**changes: Any) -> StudySpec:
    document = {
        "name": "x",
        "objective": {"metric": "loss", "direction": "minimize"},
        "search": {"x": {"type": "float", "low": 0.0, "high": 1.0}},
        "batch_size": 4,
        "budget": {"trials": 12},
        "trial": {"command": ["true"]},
        "backend": {"type": "local", "slots": 2},
    }
    return validate({**document, **changes}, trust=Trust.FILE)


def trial(
    round_: int, slot: int, state: str = "complete", *, at: float = 0.0, duration_s: float = 10.0
) -> TrialRecord:
    """A trial of a round that was asked `at` seconds after the beginning and recorded 25 s later."""
    finished = state not in ("running", "waiting")
    return TrialRecord(
        number=round_ * 4 + slot, round=round_, slot=slot, state=state, params={"x": 0.5}, seed=1,
        values={"loss": 1.0 / (1 + round_ * 4 + slot)} if state == "complete" else None,
        asked_at=BEGAN + timedelta(seconds=at),
        recorded_at=BEGAN + timedelta(seconds=at + 25) if finished else None,
        duration_s=duration_s if finished else None,
    )  # fmt: skip


def whole_round(number: int, *, at: float) -> list[TrialRecord]:
    return [trial(number, slot, "failed" if slot == 3 else "complete", at=at) for slot in range(4)]


def later(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def test_an_empty_study_promises_nothing() -> None:
    state = progress(spec(), [], BEGAN)
    assert (state.rounds_done, state.rounds_expected, state.recorded, state.budget) == (0, 3, 0, 12)
    assert (state.best, state.left_s, left(state)) == ((), None, "")
    assert line(state) == "rounds 0/3 · trials 0/12 (none yet)"


def test_a_study_on_its_way() -> None:
    trials = [
        *whole_round(0, at=0),
        trial(1, 0, at=30),
        *(trial(1, slot, "running", at=30) for slot in (1, 2, 3)),
    ]
    state = progress(spec(), trials, later(40))
    assert (state.rounds_done, state.rounds_expected, state.recorded) == (1, 3, 5)
    assert (
        line(state) == "rounds 1/3 · trials 5/12 (4 complete, 1 failed, 3 running) · best loss 0.2 (trial 4)"
    )


def test_a_last_round_that_is_smaller_counts_as_one() -> None:
    trials = [*whole_round(0, at=0), *whole_round(1, at=30)]
    assert progress(spec(budget={"trials": 9}), trials, later(60)).rounds_expected == 3
    assert progress(spec(budget={"trials": 8}), trials, later(60)).rounds_expected == 2


def test_before_the_first_round_is_over_trials_come_in_waves_of_the_slots() -> None:
    trials = [trial(0, 0, duration_s=10.0), *(trial(0, slot, "running") for slot in (1, 2, 3))]
    # 3 rounds of 2 waves of 10 s, 12 s of the first are over
    assert time_left_s(spec(), trials, later(12)) == pytest.approx(20 - 12 + 2 * 20)


def test_a_finished_round_is_the_measure_with_all_that_lies_between_two() -> None:
    trials = [*whole_round(0, at=0), *(trial(1, slot, "running", at=40) for slot in range(4))]
    # a round takes 40 s from ask to ask; 10 s of the second are over, the third is to come
    assert time_left_s(spec(), trials, later(50)) == pytest.approx(30 + 40)
    # one that takes longer than the others does not make the rest negative
    assert time_left_s(spec(), trials, later(1000)) == pytest.approx(40)


def test_a_round_left_for_another_day_does_not_spoil_the_estimate() -> None:
    trials = [*whole_round(0, at=0), *whole_round(1, at=40), *whole_round(2, at=86_400)]
    assert time_left_s(spec(budget={"trials": 16}), trials, later(86_425)) == pytest.approx(40)


def test_the_end() -> None:
    trials = [*whole_round(0, at=0), *whole_round(1, at=30), *whole_round(2, at=60)]
    state = progress(spec(), trials, later(90))
    assert (state.rounds_done, state.recorded, state.left_s, left(state)) == (3, 12, 0, "concluding")


@pytest.mark.parametrize("width", [20, 80, 200])
def test_the_live_view_fits_and_shows_hostile_values_as_they_are(width: int) -> None:
    trials = [*whole_round(0, at=0), *(trial(1, slot, "waiting", at=30) for slot in range(4))]
    state = progress(spec(), trials, later(31))
    console = Console(width=width, markup=False, emoji=False, highlight=False, record=True, file=None)
    with console.capture() as captured:
        console.print(panel("hpo_x", state, "[red]note"))
    out = captured.get()
    assert all(len(row) <= width for row in out.splitlines())
    assert "[red]note" in out
    assert "4 waiting" in " ".join(out.split())
    with console.capture() as captured:
        console.print(panel("hpo_x", None))
    assert captured.get().split() == ["hpo_x", "preparing"]
