"""Short specs, histories and outcomes for tests."""

from hpo_tasks.spec.model import StudySpec
from hpo_tasks.study.propose import History, propose
from hpo_tasks.study.records import StudyHeader, TrialRecord
from hpo_tasks.trial.contract import Outcome, params_sha256

STUDY = "abcdefghijklmnopqrstuvwxyz"

CONDITIONAL = {
    "x": {"type": "float", "low": 0.0, "high": 1.0},
    "rate": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
    "depth": {"type": "int", "low": 1, "high": 64, "log": True},
    "booster": {"type": "categorical", "choices": ["tree", "dart", None]},
    "drop": {"type": "float", "low": 0.0, "high": 0.5, "step": 0.1, "when": {"booster": "dart"}},
    "kind": {"type": "fixed", "value": "k"},
}


def spec(**changes):
    """A valid spec; keyword arguments replace its top-level fields."""
    document = {
        "name": "test",
        "objective": [{"metric": "loss", "direction": "minimize"}],
        "search": {"x": {"type": "float", "low": 0.0, "high": 1.0}},
        "optimizer": {"sampler": "random", "seed": 7},
        "budget": {"trials": 16},
        "batch_size": 4,
        "trial": {"command": ["true"]},
        **changes,
    }
    return StudySpec.model_validate(document, strict=False)


def header(of, **changes):
    """The header of a study with this spec."""
    fields = {
        "study_id": STUDY,
        "name": of.name,
        "dag_id": "hpo_test",
        "run_id": "run_1",
        "epoch": 0,
        "deployment": "test",
        "identity": "digest",
        "objectives": of.objective,
        "thresholds": of.thresholds,
        **changes,
    }
    return StudyHeader(**fields)


def loss(params):
    """A smooth function with its minimum inside the space."""
    return (params.get("x", 0.0) - 0.3) ** 2 + 0.1 * params.get("drop", 0.2)


def outcome(asked, study=STUDY, **changes):
    """The outcome of a trial that went well; keyword arguments replace its fields."""
    fields = {
        "study": study,
        "round": asked.round,
        "slot": asked.slot,
        "attempt": 1,
        "cls": "complete",
        "spec_digest": "digest",
        "params_sha256": params_sha256(asked.params),
        "values": {"loss": loss(asked.params)},
        "started_at": "2026-01-01T00:00:00+00:00",
        "ended_at": "2026-01-01T00:01:00+00:00",
        "duration_s": 60.0,
        "exit_code": 0,
        **changes,
    }
    return Outcome(**fields)


def record(number, params=None, **changes):
    """A complete trial of round number // 4; keyword arguments replace its fields."""
    params = {"x": number / 1000} if params is None else params
    fields = {
        "number": number,
        "round": number // 4,
        "slot": number % 4,
        "batch": 4,
        "state": "complete",
        "params": params,
        "seed": 0,
        "values": {"loss": loss(params)},
        "cls": "complete",
        "duration_s": 60.0,
        **changes,
    }
    return TrialRecord(**fields)


def failed(number, cls="user_error", params=None, **changes):
    """A failed trial."""
    fields = {"state": "failed", "values": None, "cls": cls, "reason": "exit code 1", **changes}
    return record(number, params, **fields)


def run_rounds(of, rounds, count, judge, *, initial=(), seed=1):
    """Play rounds of propose without a database.

    Args:
        of: the spec.
        rounds: how many.
        count: of trials in a round.
        judge: params → fields of the trial's record.
        initial: configurations to try first.
        seed: of the first round.

    Returns: the records of all trials.
    """
    trials, attrs = [], {}
    for round_ in range(rounds):
        proposals = propose(of, 1000 * seed + round_, History(list(trials), dict(attrs)), count, initial)
        attrs.update(proposals.study_attrs)
        for slot, proposal in enumerate(proposals.batch):
            fields = {
                "round": round_,
                "slot": slot,
                "source": proposal.source,
                "sampler_attrs": proposal.sampler_attrs,
                **judge(proposal.params),
            }
            trials.append(record(len(trials), proposal.params, **fields))
    return trials
