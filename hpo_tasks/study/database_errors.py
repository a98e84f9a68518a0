"""From what a database driver raises to one message for a person."""

from collections.abc import Iterator
from contextlib import contextmanager

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from hpo_tasks.errors import HpoError, RefusedError, UnavailableError

_REFUSED_STATES = ("28", "3D", "42501", "25006", "3F")
"""PostgreSQL's SQLSTATEs that trying again does not mend: password, no such database, permission, read-only."""

# What has no SQLSTATE (a refused connection, SQLite) is known by its text alone: text → what to do.
_REFUSED_TEXTS = {
    "password authentication failed": "check user and password",
    "no password supplied": "put a password into the URL or a password file",
    "role": "check the user",
    "no pg_hba.conf entry": "let this host in on the server",
    "does not exist": "create the database",
    "readonly database": "let this user write the file and its folder",
    "unable to open database file": "check the path and its permissions",
    "file is not a database": "the file is something else: use another path",
    "malformed": "the file is damaged: restore a backup",
}


@contextmanager
def plain_errors(database: str, *, secret: str = "") -> Iterator[None]:
    """Translate what the database raises; errors of this package pass.

    Args:
        database: how messages name it.
        secret: never to be seen in a message, e.g. the password.

    Raises:
        RefusedError: trying again is no use.
        UnavailableError: everything else: down, restarting, locked, out of space.
    """
    try:
        yield
    except HpoError:
        raise
    except OSError as error:
        raise RefusedError(f"study database {database}: {error.strerror or error}") from None
    except (SQLAlchemyError, StorageInternalError) as error:
        raise translated(error, database, secret) from None
    except RuntimeError as error:  # Optuna's answer to a schema of another version
        if "schema" not in str(error):
            raise
        raise RefusedError(
            f"study database {database}: its tables belong to another Optuna version; upgrade them with "
            "`optuna storage upgrade --storage URL`, or use the version that wrote them"
        ) from None


def translated(error: Exception, database: str, secret: str) -> HpoError:
    """This package's error for one of SQLAlchemy's or Optuna's."""
    while isinstance(error, StorageInternalError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    if isinstance(error, PoolTimeoutError) or not isinstance(error, DBAPIError):
        return UnavailableError(
            f"study database {database}: {type(error).__name__}; trying again later may help"
        )
    cause = error.orig or error
    text = " ".join(str(cause).split("\n")[0].split())
    if secret:
        text = text.replace(secret, "***")
    state = getattr(cause, "sqlstate", None) or ""
    remedy = next((remedy for known, remedy in _REFUSED_TEXTS.items() if not state and known in text), None)
    if remedy is None and state.startswith(_REFUSED_STATES):
        remedy = "give this user the right to it"
    if remedy is not None:
        return RefusedError(f"study database {database}: {text}; {remedy}")
    if state == "53100" or "disk is full" in text:
        return UnavailableError(
            f"study database {database}: the disk is full; free space, then run the task again"
        )
    return UnavailableError(
        f"study database {database}: {text or type(cause).__name__}; trying again later may help"
    )
