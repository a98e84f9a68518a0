"""Tell: read the round's outcomes from the object store and record them. What no train task decided is decided here."""

import logging

from hpo_tasks.flow.steps import attempts
from hpo_tasks.flow.steps.ask import plan_round
from hpo_tasks.flow.steps.batch import read_batch
from hpo_tasks.flow.steps.run import OpenStudy
from hpo_tasks.flow.steps.train import OpenTrial, TrialRun
from hpo_tasks.study.ledger import Ledger
from hpo_tasks.study.plan import Finished, open_round
from hpo_tasks.study.records import TellReport
from hpo_tasks.trial.contract import Outcome

MAX_REASON_BYTES = 400
"""Airflow refuses a loop's reason of more than 512 bytes, which it counts after it has masked secrets in it."""

log = logging.getLogger(__name__)


def tell(study: OpenStudy, ledger: Ledger, round_: int, open_trial: OpenTrial) -> TellReport:
    """Record every trial of the round, in slot order. Repeating it changes nothing.

    Args:
        study: the study.
        ledger: where the outcomes are recorded.
        round_: the round's number.
        open_trial: gives the trial at a slot, for those that were left undecided.
    """
    batch = read_batch(study.store, study.pin.study, round_)
    outcomes = [_outcome(open_trial(batch, row.slot)) for row in batch.configurations]
    report = ledger.tell(study.pin.study, outcomes)
    for key in report.mismatched:
        log.warning("slot %d: another outcome was recorded before; it stays", key.slot)
    for key, reason in report.rejected:
        log.warning("slot %d: its outcome is not acceptable: %s", key.slot, reason)
    for outcome in outcomes:
        if outcome.cls != "complete":
            log.warning("slot %d: %s: %s", outcome.slot, outcome.cls, outcome.reason)
    return report


def end_of(study: OpenStudy, ledger: Ledger) -> str | None:
    """Why no round follows, at most 400 bytes of text; None if one does."""
    plan = plan_round(study, ledger, open_round(ledger.trials(study.pin.study)))
    if not isinstance(plan, Finished):
        return None
    return plan.reason.replace("\0", "").encode()[:MAX_REASON_BYTES].decode(errors="ignore")


def _outcome(trial: TrialRun) -> Outcome:
    found = attempts.read_outcome(trial.study.store, trial.request(1))
    return found if found is not None else trial.give_up("its train task ended without an outcome")
