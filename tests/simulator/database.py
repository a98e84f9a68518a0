"""The study database: the product's Ledger over tables in memory, or over the real ones in an SQLite in memory.

The Ledger is the product's in both. `MemoryTables` stands in for the statements of `study/read.py` and
`study/write.py` and for Optuna's, because SQLAlchemy would take nine tenths of the time; `RealTables` runs those very
statements. A seed gives the same history on both, event for event, which a test checks.

One transaction is one instant: others act before and after it, as under SQLite's write lock and PostgreSQL's row
locks. A COMMIT may be done although its reply is lost; then the task that wrote is tried again. And a trial may be
created twice at once.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sqlalchemy.exc import OperationalError

from hpo_tasks.errors import UnavailableError
from hpo_tasks.study.database_errors import plain_errors
from hpo_tasks.study.ledger import Ledger
from tests.simulator.scheduler import Process, Scheduler

LOCK_TIMEOUT_S = 60.0
LOCK_IDLE_S = 60.0
LOCK_POLL_S = 1.0


class Row(NamedTuple):
    """One row of Optuna's trials, as the checker looks at it without any process noticing."""

    study: str
    number: int
    state: str
    key: dict | None
    params: dict
    outcome: dict | None
    superseded: bool


class Tables(Protocol):
    """Where the rows are."""

    optuna: object

    def reading(self): ...
    def writing(self): ...
    def rows(self) -> list[Row]:
        """All trials."""

    def study_state(self, study: str) -> str:
        """As the ledger notes it."""


@dataclass
class _Holder:
    process: Process
    lost: bool = False


class Locks:
    """The studies' locks, released with their holder's death.

    With `may_be_lost` they are PostgreSQL's: one whose holder was silent for too long goes to who asks next.

    Attributes:
        lost_by: the processes that lost one.
    """

    def __init__(self, scheduler: Scheduler, *, may_be_lost: bool) -> None:
        self._scheduler = scheduler
        self._may_be_lost = may_be_lost
        self._holders: dict[str, _Holder] = {}
        self.lost_by: list[Process] = []

    @contextmanager
    def hold(self, name: str) -> Iterator["_Lock"]:
        scheduler = self._scheduler
        deadline_s = scheduler.now_s + LOCK_TIMEOUT_S
        scheduler.turn()
        while not self._is_free(name):
            if scheduler.now_s > deadline_s:
                raise UnavailableError(f"another process has held the lock {name} for {LOCK_TIMEOUT_S:g} s")
            scheduler.sleep(LOCK_POLL_S)
        holder = self._holders[name] = _Holder(scheduler.current)
        scheduler.say("lock: got")
        try:
            yield _Lock(holder)
        finally:
            if self._holders.get(name) is holder:
                del self._holders[name]

    def _is_free(self, name: str) -> bool:
        holder = self._holders.get(name)
        if holder is None or not holder.process.alive:
            return True
        silent_for_s = holder.process.wake_at_s - self._scheduler.now_s
        if self._may_be_lost and silent_for_s > 0:
            # It stands still: the server has closed its idle transaction by the time that somebody else notices.
            holder.lost = True
            self.lost_by.append(holder.process)
            self._scheduler.say(f"lock: taken from {holder.process.name}")
            return True
        return False


class _Lock:
    def __init__(self, holder: _Holder) -> None:
        self._holder = holder

    def confirm(self) -> None:
        if self._holder.lost:
            raise UnavailableError("study database: the study's lock was lost; run the task again")


class SimulatedDatabase:
    """Stands in for `storage.Database`.

    Attributes:
        locks: replaced by a seeded bug.
    """

    display = "database"

    def __init__(self, tables: Tables, locks: Locks) -> None:
        self.tables = tables
        self.locks = locks
        self.optuna = tables.optuna
        self.reading = tables.reading
        self.writing = tables.writing

    @contextmanager
    def plain_errors(self) -> Iterator[None]:
        with plain_errors(self.display):
            yield

    def lock(self, name: str):
        return self.locks.hold(name)

    def close(self) -> None:
        """Nothing is open."""


class SimulatedLedger(Ledger):
    """The product's Ledger; only where its database comes from is another."""

    def __init__(self, database: SimulatedDatabase, scheduler: Scheduler) -> None:
        self._database = database
        self._at = lambda step: scheduler.say(f"ledger: {step}")


class Transactions:
    """What may go wrong around a transaction; both kinds of tables ask here.

    Attributes:
        committed: called after each COMMIT that may have changed something.
        created_twice: trials that were.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._fates: dict[Process, str] = {}
        self.committed: Callable[[], None] = lambda: None
        self.created_twice = 0

    def before(self) -> None:
        """Before BEGIN. Raises OperationalError: nothing will happen."""
        scheduler = self._scheduler
        scheduler.turn()
        fate = scheduler.faults.of_call("database", scheduler.now_s, repeatable=True)
        if fate == "arrives late":  # not in a connection
            fate = "arrives"
        if fate != "arrives":
            scheduler.say(f"database: {fate}")
        if fate == "process dies before":
            scheduler.kill(scheduler.current)
        if fate == "process stops before":
            scheduler.sleep(scheduler.faults.pause_s())
        if fate in ("request is lost", "is down"):
            raise _no_answer("BEGIN")
        self._fates[scheduler.current] = fate

    def times(self) -> int:
        """How often the creation of a trial takes place: a proxy repeats what it got no reply to, and so does Optuna."""
        if self._fates.get(self._scheduler.current) != "arrives twice":
            return 1
        self.created_twice += 1
        return 2

    def after(self, *, changed: bool) -> None:
        """After COMMIT. Raises OperationalError: it happened all the same."""
        scheduler = self._scheduler
        fate = self._fates.pop(scheduler.current, "arrives")
        if changed:
            self.committed()
        if fate == "process dies after":
            scheduler.kill(scheduler.current)
        if fate == "process stops after":
            scheduler.sleep(scheduler.faults.pause_s())
        scheduler.turn()
        if fate == "reply is lost":
            raise _no_answer("COMMIT")


def _no_answer(statement: str) -> OperationalError:
    return OperationalError(statement, {}, sqlite3.OperationalError("the server closed the connection"))
