"""Ask: plan the round, let the ledger hand out its configurations, write them down for the train tasks."""

import logging
from collections.abc import Callable

from hpo_tasks.flow.steps.batch import Configuration, RoundBatch, write_batch
from hpo_tasks.flow.steps.clock import Moment
from hpo_tasks.flow.steps.run import OpenStudy
from hpo_tasks.study.ledger import Ledger
from hpo_tasks.study.plan import Batch, Finished, open_round

log = logging.getLogger(__name__)


def ask(
    study: OpenStudy, ledger: Ledger, round_: int | None, *, clock: Callable[[], Moment] = Moment.now
) -> RoundBatch | Finished:
    """The round's configurations, the same ones however often it is asked, or why there is no such round.

    Args:
        study: the study.
        ledger: where the trials are created.
        round_: the round's number; None: the round that the ledger has open.
        clock: Unix seconds.

    Raises:
        InputError: nothing in the search space satisfies the constraints.
        UnavailableError: the study database or the store does not answer.
    """
    pin = study.pin
    if round_ is None:
        round_ = open_round(ledger.trials(pin.study))
    plan = plan_round(study, ledger, round_)
    if isinstance(plan, Finished):
        return _finish(study, ledger, round_, plan)
    ledger.reopen(pin.study, round_)
    asked = ledger.ask(pin.study, pin.spec, round_, plan.count, initial=pin.initial)
    if not asked:
        return _finish(study, ledger, round_, plan_round(study, ledger, round_))
    batch = RoundBatch(
        round=round_,
        configurations=tuple(Configuration(row.slot, row.number, row.params, row.seed) for row in asked),
        deadline=None if plan.deadline_s is None else clock().after(plan.deadline_s),
    )
    write_batch(study.store, pin.study, batch)
    log.info("round %d: %d configurations", round_, len(asked))
    return batch


def plan_round(study: OpenStudy, ledger: Ledger, round_: int) -> Batch | Finished:
    """What the plan says of this round, with what the ledger holds now."""
    pin = study.pin
    return ledger.next_batch(pin.study, pin.spec, round_=round_, max_rounds=pin.max_rounds)


def _finish(study: OpenStudy, ledger: Ledger, round_: int, plan: Batch | Finished) -> Finished:
    finished = plan if isinstance(plan, Finished) else Finished("complete", "the space is exhausted")
    ledger.close(study.pin.study, finished.state, finished.reason)
    log.info("round %d: none; study %s: %s", round_, finished.state, finished.reason)
    return finished
