"""The Gaussian-process sampler. Needs PyTorch: `make test-gp` installs it and runs this file."""

import pytest
from cases import CONDITIONAL, run_rounds, spec
from test_propose import crashes_at_first, good, late_crashes

from hpo_tasks.spec.search_space import active, check_point
from hpo_tasks.study.space import key_of

pytestmark = pytest.mark.gp

GP = {"sampler": "gp", "seed": 7, "options": {"n_startup_trials": 4}}


def test_every_proposal_is_allowed_and_new():
    study = spec(search=CONDITIONAL, optimizer=GP, constraints=["x + rate <= 1"])
    trials = run_rounds(study, rounds=4, count=3, judge=crashes_at_first)
    assert len({key_of(trial.params) for trial in trials}) == len(trials) == 12
    for trial in trials:
        assert check_point(study, trial.params) == []
        assert set(trial.params) == set(active(study.search, trial.params))


def test_replay_is_identical():
    study = spec(search=CONDITIONAL, optimizer=GP)
    first, second = (run_rounds(study, rounds=3, count=3, judge=good) for _ in range(2))
    assert [trial.params for trial in first] == [trial.params for trial in second]


def test_a_narrow_feasible_region_is_found_although_the_sampler_insists():
    """The sampler proposes its one best point again and again; random draws take over."""
    study = spec(
        search={n: {"type": "float", "low": 0.0, "high": 1.0} for n in ("x", "y")},
        optimizer=GP,
        constraints=["x + y <= 0.1"],
    )
    trials = run_rounds(study, rounds=4, count=2, judge=lambda p: {"values": {"loss": -p["x"] - p["y"]}})
    assert all(trial.params["x"] + trial.params["y"] <= 0.1 for trial in trials)


def test_it_learns_to_keep_away_from_crashes():
    crashes = {cls: late_crashes("gp", cls, rounds=8, seeds=(1,)) for cls in ("user_error", "infra")}
    assert crashes["user_error"] <= crashes["infra"] - 4
