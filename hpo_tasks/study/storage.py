"""The study database: SQLite on one machine, PostgreSQL beyond. Connections, locks, and errors a person can use.

Imports Optuna: never import this from a DAG file.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import sqlalchemy
from optuna.storages import RDBStorage
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from hpo_tasks.errors import InputError, UnavailableError
from hpo_tasks.study import sqlite_file
from hpo_tasks.study.database_errors import plain_errors
from hpo_tasks.study.samplers import quiet

CONNECT_TIMEOUT_S = 10
STATEMENT_TIMEOUT_S = 60
LOCK_TIMEOUT_S = 60.0
LOCK_IDLE_S = 60.0
SCHEMA_LOCK = "schema"

_READ_ONLY = "hpo_read_only"


class Lock(Protocol):
    """A lock that is held."""

    def confirm(self) -> None:
        """Raise UnavailableError if the lock was lost meanwhile. Call it before each write."""


class Database:
    """An open study database.

    Args:
        url: `sqlite:////path/study.db` or `postgresql://user:password@host/name`.
        lock_timeout_s: how long to wait for another process that works on the same study.
        lock_idle_s: PostgreSQL takes a lock from a process that was silent for so long (stopped, or cut off).

    Raises:
        InputError: not such a URL.
        RefusedError: permission, wrong password, no such database, a schema of another Optuna, SQLite on a network
            file system.
        UnavailableError: the server does not answer now.
    """

    def __init__(
        self, url: str, *, lock_timeout_s: float = LOCK_TIMEOUT_S, lock_idle_s: float = LOCK_IDLE_S
    ) -> None:
        self._url = parse_url(url)
        self._lock_timeout_s = lock_timeout_s
        self._lock_idle_s = lock_idle_s
        self.display = display_name(self._url)
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        with self.plain_errors():
            if self.is_sqlite:
                sqlite_file.check_folder(self._file)
            self.optuna = self._open()

    @property
    def engine(self) -> Engine:
        engine: Engine = self.optuna.engine
        return engine

    def close(self) -> None:
        """Close all connections."""
        self.optuna.remove_session()
        self.engine.dispose()

    @contextmanager
    def plain_errors(self) -> Iterator[None]:
        """Turn errors of the database into this package's, each with one message and no secret."""
        with plain_errors(self.display, secret=self._url.password or ""):
            yield

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database; it blocks no writer."""
        options = {_READ_ONLY: True} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        with self.engine.connect().execution_options(**options) as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes, committed at the end; on SQLite it starts with the write lock."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def lock(self, name: str) -> Iterator[Lock]:
        """Hold the lock `name` against other processes and threads.

        It makes work orderly; that it cannot make it safe (a stopped process may lose it and go on) is why ask sweeps
        duplicates and tell compares.

        Raises:
            UnavailableError: not got in time.
        """
        if self.is_sqlite:
            with sqlite_file.locked(self._file, name, self._lock_timeout_s):
                yield _FileLock()
        else:
            with _advisory_lock(self.engine, name, self._lock_timeout_s, self._lock_idle_s) as lock:
                yield lock

    @property
    def _file(self) -> str:
        return self._url.database or ""

    def _open(self) -> RDBStorage:
        # RDBStorage passes the URL through str.format; SQLAlchemy 2.0 leaves braces of a path as they are.
        url = self._url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")
        # Two processes that create the tables at once would both find them missing.
        if self.is_sqlite:
            with sqlite_file.locked(self._file, SCHEMA_LOCK, LOCK_TIMEOUT_S):
                with quiet():
                    storage = RDBStorage(url, engine_kwargs={"connect_args": {"timeout": LOCK_TIMEOUT_S}})
                sqlite_file.use_write_ahead_log(storage.engine)
            # Only now: with it, the constructor would lock itself out.
            event.listen(storage.engine, "connect", _leave_transactions_to_us)
            event.listen(storage.engine, "begin", _begin_on_sqlite)
            storage.engine.dispose()
            return storage
        kwargs = {
            "pool_pre_ping": True,
            "isolation_level": "READ COMMITTED",
            "connect_args": {"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "hpo"},
        }
        own = sqlalchemy.create_engine(self._url, **kwargs)
        try:
            with _advisory_lock(own, SCHEMA_LOCK, LOCK_TIMEOUT_S, LOCK_IDLE_S), quiet():
                storage = RDBStorage(url, engine_kwargs=kwargs)
        finally:
            own.dispose()
        event.listen(storage.engine, "connect", _limit_statements)
        storage.engine.dispose()
        return storage


class _FileLock:
    def confirm(self) -> None:
        """The kernel takes a file lock away only with the process."""


class _AdvisoryLock:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def confirm(self) -> None:
        try:
            self._connection.execute(sqlalchemy.text("SELECT 1"))
        except SQLAlchemyError:
            raise UnavailableError(
                "study database: the study's lock was lost (its connection was closed); run the task again"
            ) from None


@contextmanager
def _advisory_lock(engine: Engine, name: str, timeout_s: float, idle_s: float) -> Iterator[_AdvisoryLock]:
    # A transaction's lock on its own connection: a session's lock would outlive a stopped process for ever.
    key = int.from_bytes(hashlib.sha256(f"hpo {name}".encode()).digest()[:8], signed=True)
    settings = {
        "lock_timeout": f"{round(timeout_s * 1000)}ms",
        "idle_in_transaction_session_timeout": f"{round(idle_s * 1000)}ms",
        "statement_timeout": "0",
    }
    with engine.connect() as connection:
        for setting, value in settings.items():
            # `true`: for this transaction only
            connection.execute(sqlalchemy.select(sqlalchemy.func.set_config(setting, value, True)))  # noqa: FBT003
        connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(key)))
        yield _AdvisoryLock(connection)


def parse_url(text: str) -> URL:
    """Read the URL of a study database.

    Raises:
        InputError: not SQLite in a file and not PostgreSQL. The message holds nothing after the scheme.
    """
    try:
        url = sqlalchemy.make_url(text)
    except ArgumentError:
        raise InputError(
            "study database: not a URL; write sqlite:////absolute/path/study.db or postgresql://user@host/name"
        ) from None
    match url.drivername:
        case "sqlite" if url.database and url.database != ":memory:" and not url.query:
            return url
        case "postgresql" | "postgres" | "postgresql+psycopg":
            return url.set(drivername="postgresql+psycopg")
        case other:
            raise InputError(
                f"study database: {other}://… is not supported; use a file (sqlite:////absolute/path/study.db) or "
                "PostgreSQL (postgresql://user@host/name)"
            )


def display_name(url: URL) -> str:
    """The database as messages name it: without user, password and options."""
    if url.get_backend_name() == "sqlite":
        return url.database or ""
    port = f":{url.port}" if url.port else ""
    return f"postgresql://{url.host or 'localhost'}{port}/{url.database or ''}"


def _leave_transactions_to_us(connection: object, _: ConnectionPoolEntry) -> None:
    # Python's sqlite3 starts a transaction only before it writes: two may read the same state first and then write.
    connection.isolation_level = None  # type: ignore[attr-defined]


def _begin_on_sqlite(connection: Connection) -> None:
    read_only = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _limit_statements(connection: object, _: ConnectionPoolEntry) -> None:
    with connection.cursor() as cursor:  # type: ignore[attr-defined]
        cursor.execute(f"SET statement_timeout = '{STATEMENT_TIMEOUT_S}s'")
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{STATEMENT_TIMEOUT_S}s'")
    connection.commit()  # type: ignore[attr-defined]
