"""The sampler for batches proposes what Optuna's own TPE proposes."""

import pytest
from cases import CONDITIONAL, loss, record, spec
from optuna.samplers import TPESampler

from hpo_tasks.study import samplers
from hpo_tasks.study.propose import History, propose

FLAT = {name: each for name, each in CONDITIONAL.items() if name in ("x", "rate", "depth", "booster")}
TWO = [{"metric": "loss", "direction": "minimize"}, {"metric": "speed", "direction": "maximize"}]
STEPS = {
    "x": {"type": "float", "low": 0.0, "high": 1.0, "step": 0.01},
    "many": {"type": "int", "low": 1, "high": 50_000},
}
CASES = {
    "flat": {"search": FLAT},
    "conditional": {"search": CONDITIONAL},
    "steps": {"search": STEPS},
    "maximize": {"search": FLAT, "objective": [{"metric": "loss", "direction": "maximize"}]},
    "constraints": {"search": CONDITIONAL, "constraints": ["x + rate <= 1"]},
    "several objectives": {"search": CONDITIONAL, "objective": TWO},
    "thresholds": {"search": FLAT, "thresholds": {"speed": {"min": 0.5}}},
    "one by one": {"search": CONDITIONAL, "options": {"multivariate": False}},
    "no liar": {"search": FLAT, "options": {"constant_liar": False}},
}
STATES = ["complete"] * 5 + ["pruned", "failed", "running"]


def study_of(search, options=None, **changes):
    optimizer = {"sampler": "tpe", "seed": 7}
    study = spec(search=search, optimizer=optimizer, batch_size=8, **changes)
    return study.model_copy(
        update={"optimizer": study.optimizer.model_copy(update={"options": options or {}})}
    )


def history_of(study, count):
    """Trials in all states, those that run among them: of an earlier round that was not told."""
    drawn = propose(
        study.model_copy(update={"optimizer": spec().optimizer, "constraints": ()}), 3, History(), count
    )
    trials = []
    for number, proposal in enumerate(drawn.batch):
        state = STATES[number % len(STATES)]
        if state == "pruned" and len(study.objective) > 1:
            state = "complete"  # Optuna prunes nothing when there are several objectives
        known = {"loss": loss(proposal.params), "speed": proposal.params["x"]} if state != "running" else None
        trials.append(
            record(
                number,
                proposal.params,
                state=state,
                cls="user_error" if state == "failed" else "complete",
                values=None if state == "failed" else known,
                violations={"speed": 0.5 - proposal.params["x"]} if study.thresholds and known else {},
            )
        )
    return History(trials)


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
@pytest.mark.parametrize("count", [4, 120])
def test_as_optuna_proposes(changes, count, monkeypatch):
    """To the last digits: SciPy's normal distribution rounds otherwise. With 4 trials TPE still draws at random."""
    study = study_of(**changes)
    history = history_of(study, count)
    ours = propose(study, 5, history, 8).batch
    monkeypatch.setattr(samplers, "BatchTPESampler", TPESampler)
    theirs = propose(study, 5, history, 8).batch
    assert [set(proposal.params) for proposal in ours] == [set(proposal.params) for proposal in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.params == {
            name: pytest.approx(value, rel=1e-9) if isinstance(value, float) else value
            for name, value in other.params.items()
        }
