"""The values of `trial.secrets`: passwords of Airflow connections, read when they are needed and kept nowhere."""

from collections.abc import Callable, Mapping, Sequence

from hpo_tasks.errors import Problem, SpecError, UnavailableError
from hpo_tasks.spec.model import SecretRef
from hpo_tasks.trial import checks

MAX_SECRET_BYTES = 16 << 10
"""A hundred of them still fit into the environment of a process."""

PasswordOf = Callable[[str], str | None]
"""The password of the connection of this id, "" if it has none; None if there is no such connection."""


def check_secrets(references: Mapping[str, SecretRef], password_of: PasswordOf) -> None:
    """Look whether every secret could be handed to a trial now.

    Raises:
        SpecError: all problems at once; names fields and connections.
    """
    problems = [
        Problem(_field(name), misfit)
        for name, reference in references.items()
        if (misfit := _misfit(reference.connection, password_of(reference.connection)))
    ]
    if problems:
        raise SpecError(problems)


def read_secrets(
    references: Mapping[str, SecretRef], names: Sequence[str], password_of: PasswordOf
) -> dict[str, str]:
    """Values of the named secrets, name → value.

    Raises:
        SpecError: a connection holds no value that a trial can get.
        UnavailableError: a connection is not there any more. Airflow says the same when its server does not answer.
    """
    values = {}
    for name in names:
        connection = references[name].connection
        password = password_of(connection)
        if password is None:
            raise UnavailableError(
                f"{_field(name)}: Airflow does not find the connection `{connection}` any more: create it again"
            )
        if misfit := _misfit(connection, password):
            raise SpecError([Problem(_field(name), misfit)])
        values[name] = password
    return values


def _field(name: str) -> str:
    return f"trial.secrets.{name}"


def _misfit(connection: str, password: str | None) -> str:
    """Why this is no value that a trial can get; "" if it is one. Never repeats any of it."""
    if password is None:
        return f"there is no Airflow connection `{connection}`: create it, with the secret as its password"
    if not password.strip():
        return f"the Airflow connection `{connection}` has no password: enter the secret there"
    if not _fits_a_variable(password):
        limit = f"valid Unicode, at most {MAX_SECRET_BYTES >> 10} KiB, without NUL characters"
        return f"the password of the Airflow connection `{connection}` must be {limit}"
    return ""


def _fits_a_variable(text: str) -> bool:
    try:
        return len(checks.argument(text).encode()) <= MAX_SECRET_BYTES
    except checks.WrongValueError:
        return False
