"""The product's own statements and Optuna's, on an SQLite in memory: an order of magnitude slower than memory_tables."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import greenlet
from optuna.storages import RDBStorage
from sqlalchemy import Connection, Engine, event
from sqlalchemy.orm import scoped_session
from sqlalchemy.pool import StaticPool

from hpo_tasks.study import read, tables, write
from hpo_tasks.study.samplers import quiet
from hpo_tasks.study.storage import Database, _begin_on_sqlite
from tests.simulator.database import Row, Transactions
from tests.simulator.world import MakeTables, remembered


class _Connection(sqlite3.Connection):
    """Tells of each COMMIT; stays open, as the database goes with it."""

    transactions: Transactions | None = None
    changes_before = 0

    def commit(self) -> None:
        changed = self.total_changes != self.changes_before
        super().commit()
        self.changes_before = self.total_changes
        if self.transactions is not None:
            self.transactions.after(changed=changed)

    def close(self) -> None:
        """SQLAlchemy closes the connection of a killed process."""
        self.rollback()


class RealTables:
    """Implements `Tables`. Its transactions are `storage.Database`'s."""

    is_sqlite = True
    reading = Database.reading
    writing = Database.writing

    def __init__(self, storage: RDBStorage) -> None:
        self.optuna = storage

    @property
    def engine(self) -> Engine:
        return self.optuna.engine

    def rows(self) -> list[Row]:
        with self._unnoticed() as connection:
            names = connection.exec_driver_sql("SELECT study_name FROM studies ORDER BY study_id").scalars()
            return [row for name in list(names) for row in self._rows(connection, name)]

    def study_state(self, study: str) -> str:
        with self._unnoticed() as connection:
            stored = read.stored_study(connection, study)
            attributes = read.study_attributes(connection, stored.row) if stored else {}
        return attributes.get(tables.STATE, {"state": "running"})["state"]

    def _rows(self, connection: Connection, name: str) -> Iterator[Row]:
        stored = read.stored_study(connection, name)
        if stored is None:
            return
        own = read._attributes(connection, stored.row, tables.trial_user_attributes, "hpo:")
        params = read._params(connection, stored.row)
        query = f"SELECT trial_id, number, state FROM trials WHERE study_id = {stored.row} ORDER BY trial_id"
        for row, number, state in connection.exec_driver_sql(query):
            mine = own[row]
            yield Row(
                name, number, state.lower().replace("fail", "failed"), mine.get(tables.KEY), params[row],
                mine.get(tables.OUTCOME), tables.SUPERSEDED in mine,
            )  # fmt: skip

    @contextmanager
    def _unnoticed(self) -> Iterator[Connection]:
        """A look between two transactions that is no event of the history."""
        raw = self.engine.raw_connection().dbapi_connection
        transactions, raw.transactions = raw.transactions, None
        try:
            with self.engine.connect() as connection:
                yield connection
                connection.rollback()
        finally:
            raw.transactions = transactions


@contextmanager
def in_sqlite() -> Iterator[MakeTables]:
    """The real tables, emptied for each history."""
    raw = sqlite3.connect(":memory:", factory=_Connection, check_same_thread=False)
    raw.isolation_level = None
    with quiet():
        storage = RDBStorage("sqlite://", engine_kwargs={"creator": lambda: raw, "poolclass": StaticPool})
    # A session for each process, not for each thread.
    storage.scoped_session = scoped_session(
        storage.scoped_session.session_factory, scopefunc=lambda: id(greenlet.getcurrent())
    )
    event.listen(storage.engine, "begin", lambda connection: _before(connection, raw))
    event.listen(storage.engine, "begin", _begin_on_sqlite)

    def make(transactions: Transactions) -> RealTables:
        raw.transactions = None
        storage.scoped_session.registry.registry.clear()
        for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            if name not in ("version_info", "alembic_version"):
                raw.execute(f"DELETE FROM {name}")
        raw.changes_before = raw.total_changes
        raw.transactions = transactions
        return RealTables(storage)

    create = write.create

    def create_once_or_twice(*arguments: object) -> None:
        for _ in range(raw.transactions.times() if raw.transactions else 1):
            create(*arguments)

    with remembered(), patch.object(write, "create", create_once_or_twice):
        yield make


def _before(connection: Connection, raw: _Connection) -> None:
    del connection
    if raw.transactions is not None:
        raw.transactions.before()
