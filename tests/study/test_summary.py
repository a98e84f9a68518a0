"""Best, leaderboard, counts, and finding a study by what a person writes."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from cases import failed, header, record, spec
from hypothesis import given
from hypothesis import strategies as st

from hpo_tasks.errors import InputError
from hpo_tasks.study.records import StudyRecord
from hpo_tasks.study.summary import best, counts, failures, find, leaderboard, losses, model_prefix, summary

ONE = spec().objective
TWO = spec(
    objective=[{"metric": "a", "direction": "minimize"}, {"metric": "b", "direction": "maximize"}]
).objective
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def with_loss(number, loss, **changes):
    return record(number, values={"loss": loss}, **changes)


def test_best_is_the_best_feasible_the_earliest_of_equals():
    trials = [
        with_loss(0, 3.0),
        with_loss(1, 0.1, violations={"lat.max": 0.5}),
        with_loss(2, 2.0, violations={"lat.max": 0.0}),
        with_loss(3, 2.0),
        with_loss(4, 0.0, state="pruned", cls="pruned"),
        failed(5),
        record(6, state="running", values=None, cls=None),
    ]
    assert best(ONE, trials) == [trials[2]]
    assert best(spec(objective=[{"metric": "loss", "direction": "maximize"}]).objective, trials) == [
        trials[0]
    ]
    assert best(ONE, trials[4:]) == []


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=12))
def test_pareto_front_holds_what_nothing_dominates(points):
    trials = [record(n, values={"a": float(a), "b": float(b)}) for n, (a, b) in enumerate(points)]

    def dominated(trial):
        mine = losses(TWO, trial)
        theirs = [losses(TWO, other) for other in trials]
        return any(t != mine and all(x <= y for x, y in zip(t, mine, strict=True)) for t in theirs)

    expected = [trial.number for trial in trials if not dominated(trial)]
    assert sorted(trial.number for trial in best(TWO, trials)) == expected


def test_leaderboard_puts_infeasible_trials_last():
    trials = [with_loss(0, 3.0), with_loss(1, 0.1, violations={"lat.max": 0.5}), failed(2), with_loss(3, 1.0)]
    assert [trial.number for trial in leaderboard(ONE, trials)] == [3, 0, 1]
    assert [trial.number for trial in leaderboard(ONE, trials, 1)] == [3]


def test_counts_and_failures():
    trials = [with_loss(0, 3.0), failed(1), failed(2, "oom"), failed(3)]
    assert counts(trials) == {"complete": 1, "failed": 3}
    assert failures(trials) == {"user_error": 2, "oom": 1}


def test_model_prefix_is_that_of_the_deciding_attempt():
    assert model_prefix("s", with_loss(5, 1.0, attempt=2)) == "studies/s/001/0001/a2/model/"


def study_record(number=0, **changes):
    of = spec()
    return StudyRecord(
        header=header(of, **{"study_id": f"{number}bcdefghijklmnopqrstuvwxy", **changes}),
        state="complete",
        reason="",
        created_at=NOW - timedelta(days=number),
        ended_at=NOW,
        counts={"complete": 1},
    )


def test_summary_is_json_and_holds_what_readers_need():
    document = summary(study_record(interval=("2026-01-01", "2026-01-02")), [with_loss(0, 2.0), failed(1)])
    again = json.loads(json.dumps(document, allow_nan=False))
    assert again == document
    assert again["trials"] == {"complete": 1, "failed": 1}
    assert again["best"][0]["values"] == {"loss": 2.0}
    assert again["state"] == "complete"
    assert again["trial_seconds"] == 120.0


STUDIES = [
    study_record(0, dag_id="hpo_a", run_id="run_3", name="prices"),
    study_record(1, dag_id="hpo_a", run_id="run_2", name="prices"),
    study_record(2, dag_id="hpo_b", run_id="run_1", name="shared"),
    study_record(3, dag_id="hpo_c", run_id="run_1", name="shared"),
]


@pytest.mark.parametrize(
    ("reference", "number"),
    [
        ("1bcd", 1),
        ("1BCD", 1),
        ("hpo_a", 0),
        ("prices", 0),
        ("hpo_a/run_2", 1),
        ("hpo_c/run_1", 3),
        ("3", 3),
    ],
)
def test_find(reference, number):
    assert find(STUDIES, reference) == STUDIES[number].study_id


@pytest.mark.parametrize("reference", ["", "nothing", "hpo_a/", "%"])
def test_find_nothing(reference):
    with pytest.raises(InputError, match="no study"):
        find(STUDIES, reference)


def test_find_refuses_to_guess():
    with pytest.raises(InputError) as caught:
        find(STUDIES, "shared")
    assert str(caught.value) == (
        "'shared' fits 2 studies: 2bcdefghijklmnopqrstuvwxy (hpo_b/run_1), 3bcdefghijklmnopqrstuvwxy (hpo_c/run_1); "
        "give more of the id"
    )
