"""Proposals: inside the space, never twice, the same for the same input."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cases import CONDITIONAL, failed, loss, record, run_rounds, spec
from hypothesis import given, settings
from hypothesis import strategies as st
from test_space import searches

from hpo_tasks.errors import InputError, SpecError
from hpo_tasks.spec.search_space import active, check_point
from hpo_tasks.study import samplers
from hpo_tasks.study.adaptive import as_sampler_sees_it
from hpo_tasks.study.propose import History, propose
from hpo_tasks.study.space import Space, key_of

SAMPLERS = ["random", "qmc", "tpe", "cmaes", "nsga2", "optuna.samplers:TPESampler"]
OPTIONS = {"nsga2": {"population_size": 8}, "tpe": {"n_startup_trials": 8}}


def optimizer(sampler, **options):
    return {"sampler": sampler, "seed": 7, "options": {**OPTIONS.get(sampler, {}), **options}}


def good(params):
    return {"values": {"loss": loss(params)}}


def crashes_at_first(params):
    """Every class of end, by a rule of the parameters alone."""
    if params["x"] > 0.8:
        return {"state": "failed", "values": None, "cls": "user_error"}
    if params["x"] > 0.7:
        return {"state": "failed", "values": None, "cls": "infra"}
    if params["x"] > 0.6:
        return {"state": "pruned", "values": {"loss": loss(params)}, "cls": "pruned"}
    return good(params)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_proposal_is_allowed_and_new(sampler):
    study = spec(
        search=CONDITIONAL, optimizer=optimizer(sampler), constraints=["x + rate <= 1", "depth * x < 40"]
    )
    trials = run_rounds(study, rounds=5, count=6, judge=crashes_at_first)
    assert len({key_of(trial.params) for trial in trials}) == len(trials) == 30
    for trial in trials:
        assert check_point(study, trial.params) == []
        assert set(trial.params) == set(active(study.search, trial.params))
        assert trial.params["kind"] == "k"


@given(searches(continuous=True), st.sampled_from(["random", "qmc", "tpe"]), st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_random_conditional_spaces(search, sampler, seed):
    study = spec(search=search, optimizer={"sampler": sampler, "seed": seed})
    history = History([record(0, propose(study, 1, History(), 1).batch[0].params)])
    for proposal in propose(study, seed, history, 3).batch:
        assert check_point(study, proposal.params) == []
        assert set(proposal.params) == set(active(study.search, proposal.params))


@pytest.mark.parametrize("sampler", ["random", "qmc", "tpe"])
def test_a_space_whose_continuous_part_is_never_active_is_exhausted(sampler):
    """It cannot be written out, and holds one configuration all the same."""
    search = {
        "p": {"type": "int", "low": 2, "high": 2},
        "rate": {"type": "float", "low": 0.1, "high": 0.3, "when": {"p": [1]}},
    }
    proposals = propose(spec(search=search, optimizer={"sampler": sampler}), 1, History(), 3)
    assert [proposal.params for proposal in proposals.batch] == [{"p": 2}]
    assert proposals.exhausted


REPLAY = """
import json, sys
from cases import CONDITIONAL, run_rounds, spec
from test_propose import SAMPLERS, crashes_at_first, optimizer
for sampler in SAMPLERS:
    study = spec(search=CONDITIONAL, optimizer=optimizer(sampler), constraints=["x + rate <= 1"])
    trials = run_rounds(study, rounds=4, count=6, judge=crashes_at_first)
    print(json.dumps([sampler, [trial.params for trial in trials]]))
"""


def test_replay_in_another_interpreter_is_identical():
    """Another process, another hash seed: the same batches from every sampler."""
    here = str(Path(__file__).parent)
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", REPLAY],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([here, *sys.path]), "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    first, second = (run.communicate()[0].splitlines() for run in runs)
    assert [run.returncode for run in runs] == [0, 0]
    assert [json.loads(line)[0] for line in first] == SAMPLERS
    assert first == second


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_round_depends_on_its_seed_and_rounds_do_not_repeat_each_other(sampler):
    study = spec(search=CONDITIONAL, optimizer=optimizer(sampler))
    one = propose(study, 1, History(), 4).batch
    assert one == propose(study, 1, History(), 4).batch
    assert propose(study, 1, History(), 6).batch[:4] == one
    if sampler != "qmc":  # a sequence goes on by what was tried, not by the round's seed
        assert propose(study, 2, History(), 4).batch != one


def test_grid_enumerates_exactly_the_feasible_configurations_once():
    study = spec(
        search={
            **CONDITIONAL,
            "x": {"type": "float", "low": 0.0, "high": 1.0, "points": 3},
            "rate": {"type": "float", "low": 0.01, "high": 1.0, "log": True, "points": 3},
            "depth": {"type": "int", "low": 1, "high": 2},
        },
        optimizer=optimizer("grid"),
        constraints=["x + rate <= 1.05"],
    )
    trials = run_rounds(study, rounds=40, count=5, judge=good)
    assert {key_of(t.params) for t in trials} == {key_of(c) for c in Space.of(study).enumerate()}
    assert len(trials) == len({key_of(t.params) for t in trials})
    assert {trial.source for trial in trials} == {"grid"}
    assert {t.params["x"] for t in trials[:12]} == {0.0, 0.5, 1.0}  # a small budget sees the whole range


@given(searches())
@settings(max_examples=30, deadline=None)
def test_grid_on_random_spaces(search):
    study = spec(search=search, optimizer={"sampler": "grid"})
    everything = Space.of(study).enumerate()
    batch = propose(study, 0, History(), len(everything) + 1).batch
    assert {key_of(p.params) for p in batch} == {key_of(c) for c in everything}
    assert len(batch) == len(everything)


def test_a_grid_that_is_too_large_says_so():
    study = spec(
        search={n: {"type": "int", "low": 1, "high": 1000} for n in ("a", "b")}, optimizer={"sampler": "grid"}
    )
    with pytest.raises(InputError, match=r"^search: the grid has more than 100,000 configurations"):
        propose(study, 0, History(), 1)


@pytest.mark.parametrize("qmc_type", ["sobol", "halton"])
def test_quasi_random_points_go_on_from_round_to_round(qmc_type):
    """Eight rounds of four are the sequence's first 32 points, one in each 32nd of the range for Sobol."""
    study = spec(optimizer=optimizer("qmc", qmc_type=qmc_type))
    values = [trial.params["x"] for trial in run_rounds(study, rounds=8, count=4, judge=good)]
    assert values == [p.params["x"] for p in propose(study, 0, History(), 32).batch]
    if qmc_type == "sobol":
        assert sorted(int(value * 32) for value in values) == list(range(32))


@pytest.mark.parametrize("sampler", [*SAMPLERS, "grid"])
def test_a_finite_space_is_used_up_without_a_repeat_and_then_exhausted(sampler):
    study = spec(
        search={
            "a": {"type": "int", "low": 0, "high": 3},
            "b": {"type": "categorical", "choices": ["u", "v"]},
            "c": {"type": "float", "low": 0.0, "high": 0.2, "step": 0.1, "when": {"b": "v"}},
        },
        optimizer=optimizer(sampler),
        constraints=["a + c != 3.1"],
    )
    trials = run_rounds(study, rounds=5, count=5, judge=lambda params: {"values": {"loss": params["a"]}})
    assert len(trials) == 4 + 4 * 3 - 1
    assert len({key_of(trial.params) for trial in trials}) == len(trials)


@pytest.mark.parametrize("sampler", ["random", "tpe", "qmc"])
@pytest.mark.parametrize("kind", ["float", "int"])
def test_constraints_that_nothing_satisfies_are_named(sampler, kind):
    study = spec(
        search={n: {"type": kind, "low": 0, "high": 5} for n in ("x", "y")},
        optimizer=optimizer(sampler),
        constraints=["x + y > 20", "x < y"],
    )
    with pytest.raises(InputError, match=r"^constraints: .* satisfies x \+ y > 20 and x < y; loosen them"):
        propose(study, 0, History(), 1)


def test_a_narrow_feasible_region_is_found():
    study = spec(
        search={n: {"type": "float", "low": 0.0, "high": 1.0} for n in ("x", "y")},
        optimizer=optimizer("tpe"),
        constraints=["x + y <= 0.05"],
    )
    trials = run_rounds(study, rounds=3, count=4, judge=good)
    assert len(trials) == 12
    assert all(t.params["x"] + t.params["y"] <= 0.05 for t in trials)


INITIAL = [{"x": 1, "booster": "dart", "drop": 0.2}, {"depth": 5}, {"depth": 5}, {"x": 0.25}]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_initial_configurations_come_first_once_and_are_filled_up(sampler):
    study = spec(search=CONDITIONAL, optimizer=optimizer(sampler))
    trials = run_rounds(study, rounds=3, count=2, judge=good, initial=INITIAL)
    assert [trial.source for trial in trials] == ["initial"] * 3 + ["sampler"] * 3
    assert trials[0].params.items() >= {"x": 1.0, "booster": "dart", "drop": 0.2}.items()
    assert isinstance(trials[0].params["x"], float)
    assert trials[1].params["depth"] == 5
    assert trials[2].params["x"] == 0.25
    assert all(check_point(study, trial.params) == [] for trial in trials)


@pytest.mark.parametrize(
    ("initial", "message"),
    [
        ([{}, {"x": 2.0}], "initial[1].x: must be between 0 and 1, got 2"),
        ([{"depth": 1.5}], "initial[0].depth: must be a whole number, got 1.5"),
        (
            [{"booster": "tree", "drop": 0.1}],
            'initial[0].drop: is not active here: only when booster is "dart"',
        ),
    ],
)
def test_an_initial_configuration_outside_the_space_is_refused(initial, message):
    with pytest.raises(SpecError) as caught:
        propose(spec(search=CONDITIONAL), 0, History(), 1, initial)
    assert str(caught.value) == message


def test_an_initial_configuration_that_cannot_satisfy_the_constraints_is_named():
    study = spec(
        search={n: {"type": "float", "low": 0.0, "high": 1.0} for n in ("x", "y")},
        constraints=["x + y <= 0.4"],
    )
    with pytest.raises(InputError, match=r"^initial\[0\]: constraints: none of 10,000"):
        propose(study, 0, History(), 1, [{"x": 0.5}])


def test_the_sampler_sees_failures_that_teach_as_the_worst_so_far():
    """Complete with the worst value and the worst excess; the others stay failed; numbers do not shift."""
    objectives = spec(
        objective=[{"metric": "loss", "direction": "minimize"}, {"metric": "gain", "direction": "maximize"}]
    ).objective
    history = [
        record(0, values={"loss": 1.0, "gain": 5.0}, violations={"lat.max": -1.0}),
        record(1, values={"loss": 3.0, "gain": 7.0}, violations={"lat.max": 2.0}),
        *[failed(2 + i, cls) for i, cls in enumerate(["user_error", "oom", "timeout"])],
        *[failed(5 + i, cls) for i, cls in enumerate(["infra", "interrupted", "stopped"])],
        record(8, state="running", values=None, cls=None),
    ]
    seen = list(as_sampler_sees_it(history, objectives, {}))
    assert [trial.number for trial in seen] == list(range(9))
    assert [trial.state.name for trial in seen] == ["COMPLETE"] * 5 + ["FAIL"] * 3 + ["RUNNING"]
    assert [trial.values for trial in seen[2:5]] == [[3.0, 5.0]] * 3
    assert [trial.constraints for trial in seen[:3]] == [
        {"lat.max": -1.0},
        {"lat.max": 2.0},
        {"lat.max": 2.0},
    ]
    assert [history[2].state, history[2].values] == ["failed", None]


def test_failures_without_any_success_stay_failures():
    seen = list(as_sampler_sees_it([failed(0), failed(1)], spec().objective, {}))
    assert [trial.state.name for trial in seen] == ["FAIL", "FAIL"]


def late_crashes(sampler, cls, *, rounds=20, seeds=(1, 2, 3)):
    """Crashes in the later half of rounds of four; the optimum lies in the half-space that crashes."""
    study = spec(
        search={n: {"type": "float", "low": 0.0, "high": 1.0} for n in ("x", "y")},
        optimizer=optimizer(sampler),
    )

    def judge(params):
        if params["x"] > 0.5:
            return {"state": "failed", "values": None, "cls": cls}
        return {"values": {"loss": (params["x"] - 0.8) ** 2 + (params["y"] - 0.5) ** 2}}

    runs = [run_rounds(study, rounds=rounds, count=4, judge=judge, seed=seed) for seed in seeds]
    return sum(trial.state == "failed" for trials in runs for trial in trials[2 * rounds :])


@pytest.mark.parametrize(("sampler", "fewer"), [("tpe", 36), ("cmaes", 9)])
def test_the_sampler_learns_to_keep_away_from_crashes(sampler, fewer):
    """Of 120 late trials at least 30 (TPE) and 7.5 (CMA-ES) per cent less than when failures are ignored.

    `infra` is not shown to the sampler, so it stands for a ledger that ignores failures.
    """
    assert late_crashes(sampler, "user_error") <= late_crashes(sampler, "infra") - fewer


def test_thresholds_reach_the_sampler():
    """The best values are infeasible: TPE tries them far less often when it knows that."""
    study = spec(optimizer=optimizer("tpe"))

    def feasible(known):
        def judge(params):
            excess = {"lat.max": 0.5 - params["x"]}
            return {"values": {"loss": params["x"]}, "violations": excess if known else {}}

        late = run_rounds(study, rounds=20, count=4, judge=judge)[40:]
        return sum(trial.params["x"] >= 0.5 for trial in late) / len(late)

    assert feasible(known=True) >= feasible(known=False) + 0.3


def test_several_objectives():
    study = spec(
        objective=[{"metric": "a", "direction": "minimize"}, {"metric": "b", "direction": "maximize"}],
        search=CONDITIONAL,
        optimizer=optimizer("nsga2"),
    )
    trials = run_rounds(
        study, rounds=6, count=4, judge=lambda p: {"values": {"a": p["x"], "b": p["x"] - p["rate"]}}
    )
    assert len({key_of(trial.params) for trial in trials}) == 24


def test_gp_without_torch_names_the_extra(monkeypatch):
    monkeypatch.setattr(samplers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'hpo-tasks\[gp\]'"):
        propose(spec(optimizer=optimizer("gp")), 0, History(), 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampler": "no_such_module:Thing"}, "optimizer.sampler: cannot import 'no_such_module:Thing'"),
        ({"sampler": "json:dumps"}, "optimizer.sampler: 'json:dumps' is not a subclass"),
        ({"sampler": "optuna.samplers:TPESampler", "options": {"nope": 1}}, "optimizer.options: "),
        (
            {"sampler": "nsga2", "options": {"population_size": 1}},
            "optimizer.options: nsga2 does not take them",
        ),
    ],
)
def test_a_sampler_that_cannot_be_had_is_named(changes, message):
    with pytest.raises(InputError) as caught:
        propose(spec(optimizer=changes), 0, History(), 1)
    assert str(caught.value).startswith(message)
