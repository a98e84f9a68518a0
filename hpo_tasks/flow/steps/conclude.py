"""Conclude: close the study, write its summary, put the best model where others find it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpo_tasks.flow.steps import attempts
from hpo_tasks.flow.steps.ask import plan_round
from hpo_tasks.flow.steps.batch import read_batch
from hpo_tasks.flow.steps.best import copy_best_models, move_pointer
from hpo_tasks.flow.steps.pin import Pin
from hpo_tasks.flow.steps.run import ADHOC_DAG_ID, OpenStudy
from hpo_tasks.flow.steps.train import OpenTrial
from hpo_tasks.study.ledger import Ledger
from hpo_tasks.study.plan import Finished
from hpo_tasks.study.records import TrialRecord
from hpo_tasks.study.summary import summary
from hpo_tasks.trial import layout
from hpo_tasks.trial.contract import canonical_json

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """How the study ended: its state and reason, and the summary as written to `summary.json`."""

    state: str
    reason: str
    summary: Mapping[str, Any]

    @property
    def is_success(self) -> bool:
        """Complete, or stopped on purpose."""
        return self.state in ("complete", "stopped")


def conclude(study: OpenStudy, ledger: Ledger, open_trial: OpenTrial) -> Conclusion:
    """Close the study with what is recorded. Repeatable; a later clear of a failed task opens it again."""
    pin = study.pin
    _settle(study, ledger, open_trial)
    history = ledger.trials(pin.study)
    finished = _verdict(study, ledger, history)
    ledger.close(pin.study, finished.state, finished.reason, recorded=_recorded(history))
    document = summary(ledger.study(pin.study), ledger.trials(pin.study))
    best = document["best"]
    model = copy_best_models(study.store, pin, best) if best else None
    document |= {"model": f"{study.store.uri}/{model}" if model else None, **_provenance(pin)}
    study.store.write(layout.summary_key(pin.study), canonical_json(document))
    if best and finished.state in ("complete", "stopped") and pin.dag_id != ADHOC_DAG_ID:
        move_pointer(study.store, pin, best[0], model)
    log.info("study %s is %s: %s", pin.study, finished.state, finished.reason)
    return Conclusion(finished.state, finished.reason, document)


def _settle(study: OpenStudy, ledger: Ledger, open_trial: OpenTrial) -> None:
    """Record outcomes that no tell has seen, because it failed; end the jobs of trials that have none.

    Those are not decided: a resumed study trains them again.
    """
    for record in ledger.trials(study.pin.study):
        if record.outcome_digest:
            continue
        if study.store.read(layout.batch_key(study.pin.study, record.round)) is None:
            continue  # its ask ended before it handed out anything, so no trial of the round has begun
        trial = open_trial(read_batch(study.store, study.pin.study, record.round), record.slot)
        outcome = attempts.read_outcome(study.store, trial.request(1))
        if outcome is None:
            trial.end_job()
            outcome = attempts.read_outcome(study.store, trial.request(1))  # committed as its last deed?
        if outcome is not None:
            ledger.tell(study.pin.study, [outcome])


def _provenance(pin: Pin) -> dict[str, Any]:
    """What is needed to repeat the study, beside the parameters and seeds of its trials."""
    inputs = {
        name: {"uri": uri, "fingerprint": pin.fingerprints.get(name, "")} for name, uri in pin.inputs.items()
    }
    return {
        "interval": list(pin.interval),
        "spec_digest": pin.digest,
        "code": dict(pin.code) if pin.code else None,
        "inputs": inputs,
        "note": pin.note,
    }


def _recorded(history: Sequence[TrialRecord]) -> int:
    return sum(bool(trial.outcome_digest) for trial in history)


def _verdict(study: OpenStudy, ledger: Ledger, history: Sequence[TrialRecord]) -> Finished:
    """How the study ended: the plan says so; if it would go on, a task failed."""
    plan = plan_round(study, ledger, 1 + max((trial.round for trial in history), default=-1))
    if isinstance(plan, Finished) and all(trial.outcome_digest for trial in history):
        return plan
    return Finished(
        "failed",
        f"{_recorded(history)} of {study.pin.spec.budget.trials} trials are recorded; a task before this one failed: "
        "its log says why; clear it and everything after it to go on",
    )
