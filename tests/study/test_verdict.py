"""Outcomes come out of hostile jobs: whatever they hold, what is recorded is finite and of the right shape."""

import json

import pytest
from cases import header, outcome, record, spec

from hpo_tasks.study.verdict import judge, outcome_digest

STUDY = spec(
    objective=[{"metric": "loss", "direction": "minimize"}, {"metric": "gain", "direction": "maximize"}],
    thresholds={"lat": {"max": 50.0, "min": 10.0}},
)
TRIAL = record(0, {"x": 0.5}, state="running", values=None, cls=None)
GOOD = {"values": {"loss": 1.5, "gain": 2}, "metrics": {"lat": 60.0}}


def verdict(**changes):
    return judge(header(STUDY), TRIAL, outcome(TRIAL, **{**GOOD, **changes}))


def test_a_good_outcome():
    found = verdict()
    assert (found.state, found.values, found.problem) == ("complete", (1.5, 2.0), "")
    assert found.violations == {"lat.max": 10.0, "lat.min": -50.0}
    assert found.facts["class"] == "complete"


BAD_VALUES = [
    float("nan"),
    float("inf"),
    float("-inf"),
    "0.5",
    True,
    None,
    10**400,
    10**5000,
    [1.0],
    {"a": 1},
]


@pytest.mark.parametrize(
    "value", BAD_VALUES, ids=[type(v).__name__ + str(i) for i, v in enumerate(BAD_VALUES)]
)
@pytest.mark.parametrize("where", ["objective", "threshold"])
def test_what_is_not_a_finite_number_fails_the_trial(value, where):
    values = {"loss": value, "gain": 1.0} if where == "objective" else GOOD["values"]
    metrics = {"lat": value} if where == "threshold" else GOOD["metrics"]
    found = verdict(values=values, metrics=metrics)
    assert (found.state, found.values, found.facts["class"]) == ("failed", None, "user_error")
    assert found.facts["reason"].startswith(f"bad result: {'loss' if where == 'objective' else 'lat'} is ")
    json.dumps(found.facts, allow_nan=False)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"values": {"loss": 1.0}}, "bad result: has loss, not loss, gain"),
        ({"values": {}}, "bad result: has no value, not loss, gain"),
        ({"values": {"loss": 1.0, "gain": 1.0, "x": 1.0}}, "bad result: has gain, loss, x, not loss, gain"),
        ({"metrics": {}}, "bad result: no value for lat, which has a threshold"),
        ({"params_sha256": "0" * 64}, "bad result: it is for other parameters"),
        ({"cls": "splendid"}, "bad result: unknown class 'splendid'"),
    ],
)
def test_the_wrong_shape_fails_the_trial(changes, reason):
    found = verdict(**changes)
    assert (found.state, found.facts["class"], found.facts["reason"]) == ("failed", "user_error", reason)


@pytest.mark.parametrize("cls", ["stopped", "user_error", "oom", "timeout", "interrupted", "infra"])
def test_failures_keep_class_and_reason_and_no_values(cls):
    found = verdict(cls=cls, reason="why")
    assert (found.state, found.values, found.problem) == ("failed", None, "")
    assert (found.facts["class"], found.facts["reason"]) == (cls, "why")


def test_pruned_with_and_without_values():
    assert verdict(cls="pruned").values == (1.5, 2.0)
    assert verdict(cls="pruned", values={}).values is None
    assert verdict(cls="pruned", values={}).state == "pruned"


def test_texts_are_cut_and_can_be_stored():
    found = verdict(
        cls="user_error",
        reason="a\0b" + "\ud800" + "x" * 10_000,
        provenance={f"k{i}": "v" * 10_000 for i in range(500)},
        metrics={f"m{i}": 1.0 for i in range(500)} | {"bad": float("nan")},
        started_at="yesterday",
        duration_s=float("inf"),
        attempt="3",
        peak_memory_bytes=10**30,
    )
    text = json.dumps(found.facts, allow_nan=False)
    assert len(text) < 100_000
    assert "\\u0000" not in text
    text.encode()
    assert (found.facts["started_at"], found.facts["duration_s"], found.facts["attempt"]) == (None, None, 0)


def test_the_digest_tells_outcomes_apart_and_ignores_how_they_are_held():
    one = outcome(TRIAL, **GOOD)
    assert outcome_digest(one) == outcome_digest(outcome(TRIAL, **GOOD))
    assert outcome_digest(one) != outcome_digest(outcome(TRIAL, **{**GOOD, "log_tail": "x"}))
    assert outcome_digest(one) != outcome_digest(
        outcome(TRIAL, **{**GOOD, "values": {"loss": 1.5, "gain": 3}})
    )
