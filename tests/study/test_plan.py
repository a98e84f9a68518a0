"""When a round takes place, how large it is, and why a study ends."""

from datetime import UTC, datetime, timedelta

import pytest
from cases import failed, record, spec

from hpo_tasks.study.plan import Batch, Finished, next_batch, open_round, open_seconds

START = datetime(2026, 1, 1, tzinfo=UTC)


def plan(study, history, round_, **changes):
    facts = {"round_": round_, "open_elapsed_s": 0.0, "max_rounds": 50, **changes}
    return next_batch(study, history, **facts)


def good(count):
    return [record(number) for number in range(count)]


def test_exactly_the_budget_is_started_and_the_last_batch_is_smaller():
    study, history, sizes = spec(budget={"trials": 10}, batch_size=4), [], []
    while isinstance(batch := plan(study, history, len(sizes)), Batch):
        for slot in range(batch.count):
            history.append(record(len(history), round=len(sizes), slot=slot, batch=batch.count))
        sizes.append(batch.count)
    assert sizes == [4, 4, 2]
    assert batch == Finished("complete", "all 10 trials of the budget are recorded")


def test_failed_trials_count_towards_the_budget():
    history = [*good(6), failed(6), failed(7)]
    assert plan(spec(budget={"trials": 10}), history, 2) == Batch(2, None)


@pytest.mark.parametrize("there", [1, 3, 4])
def test_a_round_that_was_asked_keeps_its_size(there):
    """Killed in the middle of ask, cleared, or the batch size changed since: the round is what it was."""
    history = [record(number, batch=4) for number in range(there)]
    for batch_size in (1, 4, 100):
        assert plan(spec(batch_size=batch_size), history, 0) == Batch(4, None)


def test_an_old_round_of_a_finished_study_keeps_its_size_whatever_the_limits_say():
    study = spec(budget={"trials": 16, "wall_clock": 10.0})
    history = [failed(number) for number in range(16)]
    assert plan(study, history, 1, open_elapsed_s=99.0, max_rounds=1) == Batch(4, 0.0)


def test_an_exhausted_space_completes_the_study():
    assert plan(spec(), good(6), 2, exhausted=True) == Finished(
        "complete", "the space is exhausted: 6 trials are all there are"
    )


def test_rounds_can_run_out():
    finished = plan(spec(), good(8), 2, max_rounds=2)
    assert finished.state == "stopped"
    assert "max_rounds" in finished.reason


@pytest.mark.parametrize(
    ("recorded", "waiting", "expected"),
    [([], [], 0), ([0, 1], [], 2), ([0], [1], 1), ([0, 2], [2, 3], 2), ([3], [1], 1)],
    ids=["new", "between rounds", "in a round", "two are open", "an old one was left"],
)
def test_the_open_round_is_the_first_with_something_to_record(recorded, waiting, expected):
    """Else the one after the last: what is recorded is never asked again."""
    history = [record(number, round=round_, outcome_digest="d") for number, round_ in enumerate(recorded)]
    history += [record(9 + number, round=round_) for number, round_ in enumerate(waiting)]
    assert open_round(history) == expected


@pytest.mark.parametrize(
    ("elapsed_s", "slots", "expected"),
    [
        (0.0, 4, Batch(4, 200.0)),
        (139.0, 4, Batch(4, 61.0)),
        (141.0, 4, Finished("stopped", "budget.wall_clock: 59 s are left, a round needs about 60 s")),
        (79.0, 2, Batch(4, 121.0)),
        (81.0, 2, Finished("stopped", "budget.wall_clock: 119 s are left, a round needs about 120 s")),
        (21.0, 1, Finished("stopped", "budget.wall_clock: 179 s are left, a round needs about 240 s")),
        (300.0, 4, Finished("stopped", "budget.wall_clock is used up")),
    ],
)
def test_no_round_starts_that_cannot_finish_by_the_median(elapsed_s, slots, expected):
    """The median is 60 s; a batch of 4 takes 1, 2 or 4 waves."""
    study = spec(budget={"trials": 64, "wall_clock": 200.0}, backend={"type": "local", "slots": slots})
    history = [record(0, duration_s=1.0), record(1), record(2), record(3, duration_s=900.0)]
    assert plan(study, history, 1, open_elapsed_s=elapsed_s) == expected


def test_the_first_round_starts_without_a_median():
    assert plan(spec(budget={"trials": 9, "wall_clock": 5.0}), [], 0) == Batch(4, 5.0)


@pytest.mark.parametrize(
    ("good_ones", "bad_ones", "stops"),
    [(4, 3, False), (3, 4, False), (4, 4, False), (3, 5, True), (10, 10, False), (9, 11, True)],
)
def test_too_many_failures_stop_the_study_from_the_eighth_trial_on(good_ones, bad_ones, stops):
    history = [*good(good_ones), *[failed(good_ones + n) for n in range(bad_ones)]]
    assert isinstance(plan(spec(budget={"trials": 64}), history, 9), Finished) is stops


def test_the_message_names_the_commonest_failure():
    history = [
        *good(2),
        failed(2, "oom", reason="limit"),
        *[failed(n, "user_error", reason="exit code 3") for n in range(3, 8)],
    ]
    assert plan(spec(), history, 2) == Finished(
        "failed",
        "6 of 8 trials failed, more than budget.max_failed_share 0.5; most often (5 times) user_error: exit code 3",
    )


def test_a_first_round_of_user_errors_stops_at_once():
    finished = plan(spec(), [failed(n, reason="no module named model") for n in range(4)], 1)
    assert finished.state == "failed"
    assert "no module named model" in finished.reason


@pytest.mark.parametrize("cls", ["oom", "timeout", "infra"])
def test_a_first_round_of_other_failures_does_not(cls):
    assert plan(spec(), [failed(0, cls), *[failed(n) for n in range(1, 4)]], 1) == Batch(4, None)


def test_stopped_trials_are_no_failures():
    history = [*good(4), *[failed(n, "stopped") for n in range(4, 12)]]
    assert plan(spec(), history, 3) == Batch(4, None)


@pytest.mark.parametrize("cls", ["infra", "interrupted"])
def test_jobs_that_cannot_run_stop_the_study_too(cls):
    assert plan(spec(), [*good(3), *[failed(n, cls) for n in range(3, 8)]], 2).state == "failed"


def at(minutes):
    return START + timedelta(minutes=minutes)


def told(number, minutes, **changes):
    return record(number, recorded_at=at(minutes), outcome_digest="digest", **changes)


def test_time_counts_while_rounds_are_open():
    """Not the gap between two rounds."""
    history = [told(0, 5), told(1, 10), told(4, 35)]
    assert open_seconds({0: [at(0)], 1: [at(30)]}, history) == 15 * 60


def test_a_night_between_a_crash_and_its_clear_does_not_count():
    history = [told(0, 10), told(1, 24 * 60 + 20)]
    assert open_seconds({0: [at(0), at(24 * 60)]}, history) == (10 + 20) * 60


def test_a_clear_of_a_finished_round_adds_nothing():
    assert open_seconds({0: [at(0), at(500), at(900)]}, [told(0, 10)]) == 10 * 60


def test_closing_a_study_does_not_count_as_work():
    assert open_seconds({0: [at(0)]}, [told(0, 10), failed(1, "stopped", recorded_at=at(999))]) == 10 * 60


def test_nothing_was_open_yet():
    assert open_seconds({}, []) == 0.0
