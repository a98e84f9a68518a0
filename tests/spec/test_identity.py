"""The canonical form: reads back as the same spec, and says what makes a study that study."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_study import document

from hpo_tasks.spec import (
    Trust,
    apply,
    canonical,
    changed_identity,
    digest,
    identity_digest,
    load,
    parse,
    validate,
)

floats = st.floats(allow_nan=False, allow_infinity=False)
names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: name not in ("true", "false", "null")
)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | floats | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)  # fmt: skip


def ordered(values):
    return sorted(values)


bounds = st.lists(st.floats(-1e150, 1e150), min_size=2, max_size=2, unique=True).map(ordered)
parameters = st.one_of(
    bounds.map(lambda pair: {"type": "float", "low": pair[0], "high": pair[1]}),
    st.lists(st.floats(5e-324, 1e300), min_size=2, max_size=2, unique=True).map(ordered)
    .map(lambda pair: {"type": "float", "low": pair[0], "high": pair[1], "log": True}),
    st.lists(st.integers(-(2**53), 2**53), min_size=2, max_size=2, unique=True).map(ordered)
    .map(lambda pair: {"type": "int", "low": pair[0], "high": pair[1]}),
    st.lists(scalars, min_size=1, max_size=5, unique=True).map(lambda choices: {"type": "categorical", "choices": choices}),
)  # fmt: skip
searches = st.dictionaries(names, parameters, min_size=1, max_size=5)
fixed = st.dictionaries(names, scalars.map(lambda value: {"type": "fixed", "value": value}), max_size=3)


@given(searches, fixed, st.floats(1, 1e7), st.floats(0, 1))
def test_the_canonical_form_reads_back_as_the_same_spec(search, constants, timeout, share):
    data = document(
        search={**constants, **search},
        trial={"command": ["a"], "timeout": timeout},
        budget={"trials": 8, "max_failed_share": share},
    )
    spec = validate(data, trust=Trust.FILE)

    text = json.dumps(canonical(spec), sort_keys=True)
    again = parse(text, format="json", trust=Trust.FILE)

    assert again == spec
    assert repr(sorted(canonical(again).items())) == repr(sorted(canonical(again).items()))
    assert json.dumps(canonical(again), sort_keys=True) == text
    assert digest(again) == digest(spec)
    assert identity_digest(again) == identity_digest(spec)


FULL = """
name: house_prices
owner: pricing-team
description: "two\\nlines"
tags: {team: pricing}
schedule: "0 2 * * *"
timezone: Europe/Berlin
start_date: 2026-01-01
paused: true
catchup: true
max_active_runs: 2
pool: gpu
max_rounds: 16
objective: [{metric: rmse, direction: minimize}, {metric: size_mb, direction: minimize}]
thresholds: {latency_ms: {max: 50}}
search:
  learning_rate: {type: float, low: 0.005, high: 0.3, log: true}
  depth: {type: int, low: 2, high: 12, step: 2}
  booster: {type: categorical, choices: [gbtree, dart, null, 2, 0.5, true]}
  rate_drop: {type: float, low: 0.0, high: 0.5, step: 0.1, when: {booster: [dart, null]}}
  kind: {type: fixed, value: null}
constraints: ["learning_rate * 100 + rate_drop <= 20"]
optimizer: {sampler: tpe, seed: 7, options: {n_startup_trials: 16}}
batch_size: 8
budget: {trials: 64, wall_clock: 6h, max_failed_share: 0.5}
trial:
  command: [python, train.py, "--lr={learning_rate}"]
  metrics: [{name: rmse, regex: "rmse=([0-9.]+)"}]
  env: {OMP_NUM_THREADS: "1"}
  secrets: {API_KEY: {connection: my_conn}}
  code: {dir: .}
  model_dir: saved_model
  clean_model_dir: true
  inputs: {train: "s3://bucket/prices/{data_interval_start:%Y-%m-%d}/train.parquet"}
  resources: {threads: -1, gpus: 1, memory: 4GiB}
  timeout: 1h30m
  attempts: 2
backend: {type: local, slots: 4}
store: {uri: s3://bucket/hpo, connection: aws}
initial: [previous_best, {learning_rate: 0.1, booster: gbtree}]
keep: {models: all, days: 90}
"""


@pytest.fixture
def full():
    return parse(FULL, format="yaml", trust=Trust.FILE)


def test_every_field_has_the_meaning_that_it_was_written_with(full):
    assert full.budget.wall_clock_s == 6 * 3600
    assert full.trial.timeout_s == 5400
    assert full.trial.resources.memory_bytes == 4 * 2**30
    assert full.store.uri == "s3://bucket/hpo"
    assert full.start_date == "2026-01-01"
    assert full.search["booster"].choices == ("gbtree", "dart", None, 2, 0.5, True)
    assert full.initial == ("previous_best", {"learning_rate": 0.1, "booster": "gbtree"})
    assert validate(canonical(full), trust=Trust.FILE) == full


def test_a_file_reads_the_same_as_yaml_and_json(full, tmp_path):
    (tmp_path / "a.yaml").write_text(FULL)
    (tmp_path / "b.json").write_text(json.dumps(canonical(full)))

    assert load(tmp_path / "a.yaml") == load(tmp_path / "b.json") == full


def test_how_a_value_is_written_plays_no_part_in_the_digest():
    one = document(
        trial={"command": ["a"], "timeout": "1h30m"}, search={"x": {"type": "float", "low": 0, "high": 1}}
    )
    other = document(
        trial={"timeout": 5400, "command": ["a"]}, search={"x": {"high": 1.0, "low": 0.0, "type": "float"}}
    )

    assert digest(validate(one, trust=Trust.FILE)) == digest(validate(other, trust=Trust.FILE))


def test_the_digest_tells_values_apart_that_python_calls_equal():
    digests = {
        digest(
            validate(
                document(search={"x": {"type": "categorical", "choices": ["a", value]}}), trust=Trust.FILE
            )
        )
        for value in (1, True, 1.5, "1", None, "None")
    }

    assert len(digests) == 6


MAY_CHANGE = {
    "name": "other", "owner": "x", "description": "x", "tags": {"a": "b"}, "schedule": "@daily", "max_rounds": 20,
    "batch_size": 9, "budget.trials": 65, "budget.wall_clock": "7h", "budget.max_failed_share": 0.1,
    "trial.timeout": 60, "trial.attempts": 3, "trial.resources.memory": "8GiB", "trial.secrets": {}, "backend.slots": 1,
    "keep.days": 1, "store": "/data", "paused": False, "max_active_runs": 1, "pool": "cpu",
}  # fmt: skip
MAY_NOT_CHANGE = {
    "objective": {"metric": "mae", "direction": "minimize"}, "thresholds.latency_ms.max": 51,
    "search.learning_rate.high": 0.4, "search.extra": {"type": "int", "low": 0, "high": 1}, "constraints": [],
    "optimizer.seed": 8, "optimizer.options.n_startup_trials": 17, "trial.command": ["python", "other.py"],
    "trial.metrics": [], "trial.env.OMP_NUM_THREADS": "2", "trial.code.dir": "..", "trial.model_dir": "other",
    "trial.clean_model_dir": False, "trial.inputs.train": "s3://bucket/other", "initial": ["previous_best"],
}  # fmt: skip


@pytest.mark.parametrize("key", MAY_CHANGE)
def test_budget_texts_and_limits_may_change_under_the_same_epoch(key, full):
    changed = apply(full, {key: MAY_CHANGE[key]}, Trust.FILE)

    assert digest(changed) != digest(full)
    assert identity_digest(changed) == identity_digest(full)
    assert changed_identity(full, changed) == []


@pytest.mark.parametrize("key", MAY_NOT_CHANGE)
def test_what_makes_the_study_may_not_change_and_is_named(key, full):
    changed = apply(full, {key: MAY_NOT_CHANGE[key]}, Trust.FILE)

    assert identity_digest(changed) != identity_digest(full)
    assert changed_identity(full, changed) == [key]
    assert changed_identity(changed, full) == [key]
