"""Bugs on purpose, each the loss of one rule of the product. The simulator must find every one of them.

A bug is a context manager; inside it the product (or, where a rule is the database's or the store's, what stands in for
them) lacks the rule.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from unittest.mock import patch

from hpo_tasks.flow.steps import attempts, conclude, tell, train
from hpo_tasks.study import attempts as decisions
from hpo_tasks.study import ledger, read
from hpo_tasks.study.attempts import Launch
from hpo_tasks.study.plan import Finished
from hpo_tasks.trial import runner
from hpo_tasks.trial.contract import Outcome, encode_outcome
from tests.simulator.database import Locks
from tests.simulator.store import MemoryStore

Bug = Callable[[], AbstractContextManager[object]]
BUGS: dict[str, Bug] = {}


def bug(make: Bug) -> Bug:
    """Enter a bug in the list, under its function's name."""
    BUGS[make.__name__.replace("_", "-")] = make
    return make


@bug
def no_lock():
    """Ask, close and create do not wait for one another."""

    @contextmanager
    def unlocked(_self: Locks, _name: str) -> Iterator[object]:
        yield _Unlocked()

    return patch.object(Locks, "hold", unlocked)


class _Unlocked:
    def confirm(self) -> None:
        """Nothing to lose."""


@bug
def no_duplicate_sweep():
    """What a creation that took place twice leaves behind stays."""
    return patch.object(ledger.Ledger, "_sweep", lambda _self, _trials: None)


@bug
def create_overwrites():
    """A store that ignores `If-None-Match`: the last outcome wins, and every claim."""

    def overwrite(self: MemoryStore, key: str, data: bytes) -> bool:
        self._put(key, data)
        return True

    return patch.object(MemoryStore, "_create", overwrite)


@bug
def claim_is_ignored():
    """A job trains although another process has claimed its attempt, or its trial is decided."""
    real = runner.claim
    return patch.object(runner, "claim", lambda *arguments: real(*arguments) or True)


@bug
def claim_does_not_look_for_an_outcome():
    """A job that starts late trains a trial that is decided."""
    real = runner.claim

    def claim(objects, key, request):
        class Blind:
            def read(self, name, **options):
                return None if name == key.trial.outcome else objects.read(name, **options)

            def create(self, name, data):
                return objects.create(name, data)

        return real(Blind(), key, request)

    return patch.object(runner, "claim", claim)


@bug
def bare_study_ask():
    """Configurations are drawn when they are written, as `study.ask` does: what is left draws the first ones again."""
    real = ledger.Ledger._propose

    def propose(self, stored, spec, round_, *rest):
        proposals = real(self, stored, spec, round_, *rest)
        live = read.live(self._trials(stored))
        missing = [slot for slot in range(len(proposals.batch)) if (round_, slot) not in live]
        drawn = dict(zip(missing, proposals.batch, strict=False))
        return replace(proposals, batch=tuple(drawn.get(slot, p) for slot, p in enumerate(proposals.batch)))

    return patch.object(ledger.Ledger, "_propose", propose)


@bug
def seed_is_a_count():
    """The round's seed counts trials, superseded ones included."""
    real, real_seed = ledger.Ledger._propose, ledger.round_seed

    def propose(self, stored, *arguments):
        count = len(self._trials(stored))
        with patch.object(ledger, "round_seed", lambda seed, study, _: real_seed(seed, study, count)):
            return real(self, stored, *arguments)

    return patch.object(ledger.Ledger, "_propose", propose)


@bug
def told_from_what_train_returned():
    """Tell records what the train tasks returned (XCom), and `infra` for one that returned nothing."""
    real = train.TrialRun.until_decided

    def xcom(trial) -> dict[tuple[str, int, int], Outcome]:
        return vars(trial.study.store).setdefault("xcom", {})

    def key(trial) -> tuple[str, int, int]:
        return trial.study.pin.study, trial.batch.round, trial.slot

    def until_decided(self, *arguments):
        xcom(self)[key(self)] = real(self, *arguments)
        return xcom(self)[key(self)]

    def told(trial):
        failed = attempts.verdict(trial.request(1), "infra", "its train task failed")
        return xcom(trial).get(key(trial), failed)

    return _both(
        patch.object(train.TrialRun, "until_decided", until_decided), patch.object(tell, "_outcome", told)
    )


@contextmanager
def _both(first: AbstractContextManager[object], second: AbstractContextManager[object]) -> Iterator[None]:
    with first, second:
        yield


@bug
def given_up_while_the_job_lives():
    """Tell decides a trial that its train task has left, without ending the job first."""
    real = train.TrialRun.give_up

    def give_up(self, reason):
        with patch.object(type(self.backend), "stop", lambda *_, **__: None):
            return real(self, reason)

    return patch.object(train.TrialRun, "give_up", give_up)


@bug
def submits_without_adopting():
    """A process that finds an attempt alive, and has not launched it itself, launches the next one."""
    real = train.next_step

    def next_step(newest, **limits):
        step = real(newest, **limits)
        return (
            Launch(newest.number + 1)
            if newest.job == "pending" or (newest.job == "unknown" and newest.number)
            else step
        )

    return patch.object(train, "next_step", next_step)


@bug
def attempts_without_end():
    """`infra` and `interrupted` earn a new attempt for ever."""
    real = decisions.next_step

    def next_step(newest, *, max_attempts, past_deadline):
        del max_attempts
        return real(newest, max_attempts=9, past_deadline=past_deadline)

    return patch.object(train, "next_step", next_step)


@bug
def attempt_charged_twice():
    """The attempt that decides is counted once by its report and once more by the decision."""
    real = attempts.commit
    return patch.object(
        attempts,
        "commit",
        lambda store, outcome: real(store, replace(outcome, attempts=outcome.attempts + 1)),
    )


@bug
def late_outcome_overwrites():
    """A job that comes to its end after its trial was decided writes its outcome all the same."""

    def commit(objects, key, outcome):
        name = key.trial.outcome if outcome.cls == "complete" else key.report
        objects.write(name, encode_outcome(outcome))

    return patch.object(runner, "commit", commit)


@bug
def conclude_does_not_settle():
    """Conclude closes the study without recording the outcomes that no tell has seen."""
    return patch.object(conclude, "_settle", lambda *_: None)


@bug
def conclude_believes_closed_trials():
    """A trial that was closed without an outcome counts as recorded."""
    real = conclude._verdict

    def verdict(study, ledger_, history):
        found = real(study, ledger_, history)
        if len(history) == study.pin.spec.budget.trials:
            return Finished("complete", "all trials have an end")
        return found

    return patch.object(conclude, "_verdict", verdict)


@bug
def an_old_ask_opens_a_finished_study():
    """Whether a round still has work is asked before the lock is taken, not under it."""
    real = ledger.Ledger.reopen

    def reopen(self, study, round_):
        history = self.trials(study)
        mine = [trial for trial in history if trial.round == round_]
        if not mine or any(not trial.outcome_digest for trial in mine):
            real(self, study, 10**6)

    return patch.object(ledger.Ledger, "reopen", reopen)


@bug
def hands_out_what_it_proposed():
    """Not what was read back: of a trial that was written twice, the number that it did not get."""
    real = ledger.Ledger.ask

    def asked(self, study, spec, round_, count, **options):
        found = real(self, study, spec, round_, count, **options)
        numbers = {
            (trial.record.round, trial.record.slot): trial.number
            for trial in self._trials(self._get(study))
            if trial.record is not None
        }
        return [replace(row, number=numbers[row.round, row.slot]) for row in found]

    return patch.object(ledger.Ledger, "ask", asked)
