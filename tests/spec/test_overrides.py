"""Overrides: the trigger form may change little, the command line everything; the whole is checked again."""

import pytest

from hpo_tasks.errors import SpecError
from hpo_tasks.spec import RUN_FIELDS, Trust, apply, form_fields, parse_override, planned_max_rounds


def lines(spec, overrides, trust=Trust.FILE):
    with pytest.raises(SpecError) as caught:
        apply(spec, overrides, trust)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("budget.trials=20", "budget.trials", 20),
        ("optimizer.sampler = random", "optimizer.sampler", "random"),
        ("search.x.high=1e-3", "search.x.high", 1e-3),
        ("paused=true", "paused", True),
        ("constraints=[x < 1, 'y = 2']", "constraints", ["x < 1", "y = 2"]),
        ("trial.env={A: b}", "trial.env", {"A": "b"}),
        ("name='a = b'", "name", "a = b"),
        ("owner=", "owner", None),
    ],
)
def test_an_override_is_a_key_and_a_yaml_value(text, key, value):
    assert parse_override(text) == (key, value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("budget.trials", 'must be key=value, e.g. budget.trials=20, got "budget.trials"'),
        ("=3", 'must be key=value, e.g. budget.trials=20, got "=3"'),
        ("a=[1", "a: line 1, column 3: not YAML: expected ',' or ']', but got '<stream end>'"),
        ("a=&x 1", "a: line 1, column 1: anchors and aliases (& and *) are not allowed: write it out"),
    ],
)
def test_a_wrong_override_is_refused(text, line):
    with pytest.raises(SpecError) as caught:
        parse_override(text)

    assert str(caught.value) == line


def test_overrides_change_fields_of_any_depth(study):
    spec = study(budget={"trials": 8, "wall_clock": "1h"})

    changed = apply(
        spec,
        {"budget.trials": 9, "budget.wall_clock": "2h", "search.x.high": 2, "objective.metric": "mae", "trial.timeout": 60,
         "trial.code.dir": "src", "keep.models": "none", "search.y": {"type": "int", "low": 0, "high": 3}},
        Trust.FILE,
    )  # fmt: skip

    assert (changed.budget.trials, changed.budget.wall_clock_s) == (9, 7200)
    assert (changed.search["x"].high, changed.search["y"].high) == (2.0, 3)
    assert (changed.objective[0].metric, changed.trial.timeout_s, changed.trial.code.dir) == (
        "mae",
        60,
        "src",
    )
    assert spec.budget.trials == 8


def test_unknown_keys_are_refused_with_what_was_probably_meant(study):
    spec = study()

    assert lines(spec, {"budget.trails": 3}) == ["budget.trails: unknown field, did you mean `trials`?"]
    assert lines(spec, {"bugdet.trials": 3}) == ["bugdet.trials: unknown field, did you mean `budget`?"]
    assert lines(spec, {"search.y.high": 3}) == ["search.y.high: unknown field; known: x"]
    assert lines(spec, {"name.first": 3}) == ["name.first: unknown field"]
    assert lines(spec, {"budget.": 3}) == ["budget.: must be a field's name, e.g. budget.trials"]
    assert lines(spec, {"": 3}) == ["must be a field's name, e.g. budget.trials"]
    assert lines(spec, {"budget.trials": "3", "batch_size": 0}) == [
        "batch_size: must be at least 1, got 0",
        'budget.trials: must be a whole number, got "3"',
    ]


def test_the_study_is_checked_as_a_whole(study):
    spec = study(search={"x": {"type": "float", "low": 0.1, "high": 1}}, initial=[{"x": 0.9}])

    assert lines(spec, {"search.x.high": 0.5}) == ["initial[0].x: must be between 0.1 and 0.5, got 0.9"]
    assert lines(spec, {"optimizer.sampler": "grid"}) == ["search.x: a float in a grid needs step or points"]


def test_another_sampler_runs_with_its_own_options(study):
    spec = study(optimizer={"sampler": "tpe", "options": {"n_startup_trials": 3}})

    assert apply(spec, {"optimizer.sampler": "random"}, Trust.FORM).optimizer.options == {}
    assert apply(spec, {"optimizer.sampler": "tpe"}, Trust.FORM).optimizer.options == {"n_startup_trials": 3}
    given = {"optimizer.sampler": "cmaes", "optimizer.options": {"popsize": 5}}
    assert apply(spec, given, Trust.FORM).optimizer.options == {"popsize": 5}
    (line,) = lines(spec, {"optimizer.sampler": "random", "optimizer.options.n_startup_trials": 4})
    assert line.startswith("optimizer.options.n_startup_trials: unknown option of random")


def test_a_form_may_change_budget_batch_and_optimizer_only(study, monkeypatch):
    spec = study()

    assert (
        apply(spec, {"batch_size": 2, "budget.trials": 4, "optimizer.seed": 5}, Trust.FORM).optimizer.seed
        == 5
    )
    assert lines(spec, {"trial.command": ["sh"], "batchsize": 2}, Trust.FORM) == [
        "trial.command: cannot be changed in a form; known: budget.trials, batch_size, optimizer.sampler, optimizer.seed",
        "batchsize: cannot be changed in a form, did you mean `batch_size`?",
    ]
    monkeypatch.setenv("HPO_ALLOW_LOCAL_ADHOC", "1")
    assert apply(spec, {"trial.command": ["sh"]}, Trust.FORM).trial.command == ("sh",)


def test_a_form_cannot_ask_for_more_rounds_than_the_dag_has(study):
    spec = study(budget={"trials": 8}, batch_size=2)

    assert planned_max_rounds(spec) == 8
    assert apply(spec, {"budget.trials": 16}, Trust.FORM).max_rounds == 8
    assert lines(spec, {"budget.trials": 17}, Trust.FORM) == [
        "budget.trials: must be at most 16 (8 rounds of batch_size 2), got 17: raise max_rounds or batch_size"
    ]
    assert apply(spec, {"budget.trials": 17, "batch_size": 3}, Trust.FORM).budget.trials == 17
    assert apply(spec, {"budget.trials": 100}, Trust.FILE).max_rounds is None


def test_not_even_an_open_machine_gets_more_rounds_than_the_dag_has(study, monkeypatch):
    monkeypatch.setenv("HPO_ALLOW_LOCAL_ADHOC", "1")

    assert lines(study(), {"max_rounds": 17}, Trust.FORM) == [
        "max_rounds: must be at most 16, the rounds of this DAG, got 17"
    ]


def test_a_form_takes_import_paths_from_the_file_or_the_allow_list_only(study, monkeypatch):
    spec = study(optimizer={"sampler": "my_samplers:Mine"})

    assert apply(spec, {"budget.trials": 4}, Trust.FORM).optimizer.sampler == "my_samplers:Mine"
    assert (
        apply(spec, {"optimizer.sampler": "my_samplers:Mine"}, Trust.FORM).optimizer.sampler
        == "my_samplers:Mine"
    )
    assert lines(spec, {"optimizer.sampler": "os:system"}, Trust.FORM) == [
        'optimizer.sampler: import paths are taken from study files and HPO_ALLOWED_CLASSES only, got "os:system"'
    ]
    monkeypatch.setenv("HPO_ALLOW_LOCAL_ADHOC", "1")
    assert len(lines(spec, {"optimizer.sampler": "os:system"}, Trust.FORM)) == 1
    monkeypatch.setenv("HPO_ALLOWED_CLASSES", "a:B, os:system")
    assert apply(spec, {"optimizer.sampler": "os:system"}, Trust.FORM).optimizer.sampler == "os:system"


@pytest.mark.parametrize(
    ("trials", "batch", "most", "rounds"),
    [
        (1, 1, 50, 4),
        (8, 2, 50, 8),
        (64, 8, 50, 16),
        (65, 8, 50, 18),
        (50, 1, 50, 50),
        (50, 1, 1000, 100),
        (1000, 1, 1000, 1000),
    ],
)
def test_a_dag_has_twice_the_rounds_that_the_budget_needs_within_bounds(trials, batch, most, rounds, study):
    assert planned_max_rounds(study(budget={"trials": trials}, batch_size=batch), most=most) == rounds
    assert planned_max_rounds(study(budget={"trials": 1}, max_rounds=3), most=most) == 3


def test_the_form_offers_the_files_values_within_bounds_that_prepare_accepts(study):
    spec = study(budget={"trials": 20}, batch_size=4, optimizer={"sampler": "pkg.mod:Mine", "seed": 3})

    fields = {field.key: field for field in form_fields(spec, max_rounds=planned_max_rounds(spec))}

    assert list(fields) == [
        "budget.trials",
        "batch_size",
        "optimizer.sampler",
        "optimizer.seed",
        "epoch",
        "note",
    ]
    assert {key: field.default for key, field in fields.items()} == {
        "budget.trials": 20, "batch_size": 4, "optimizer.sampler": "pkg.mod:Mine", "optimizer.seed": 3, "epoch": 0, "note": "",
    }  # fmt: skip
    assert (fields["budget.trials"].minimum, fields["budget.trials"].maximum) == (1, 40)
    assert fields["optimizer.sampler"].choices == (
        "random", "grid", "qmc", "tpe", "gp", "cmaes", "nsga2", "pkg.mod:Mine",
    )  # fmt: skip
    assert all(field.title and field.help for field in fields.values())
    spec_fields = {key: field for key, field in fields.items() if key not in RUN_FIELDS}
    for bound in ("minimum", "maximum", "default"):
        overrides = {key: getattr(field, bound) for key, field in spec_fields.items()}
        asked = {key: value for key, value in overrides.items() if value is not None}
        assert apply(spec, asked, Trust.FORM).budget.trials == asked["budget.trials"]
