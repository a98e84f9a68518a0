"""Everything that this package raises on purpose, named by what the caller has to do.

HpoError                  message for a person; never shown with a traceback
├── InputError            the user's input is wrong: change it (exit code 2)
│   ├── SpecError         a study file, form or flag: a list of problems, each with its field
│   └── ConflictError     the study exists with another meaning: use another `epoch`
├── UnavailableError      a server does not answer now: try again later
├── RefusedError          a server says no (permission, missing bucket, missing capability): trying again is no use
└── IntegrityError        what is stored is not what the protocol wrote (torn, foreign or edited by hand)
"""

from collections.abc import Sequence
from dataclasses import dataclass


class HpoError(Exception):
    """Base of all errors of this package. `str(error)` is one message for a person."""


class InputError(HpoError):
    """The user's input is wrong; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an input.

    Attributes:
        field: dotted path as the user wrote it, e.g. `search.learning_rate.low`; "" for the whole document.
        message: one sentence: the rule, what was got, what to do. Never repeats a secret.
    """

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class SpecError(InputError):
    """A study file, form or flag is wrong. Holds all problems at once, not the first one."""

    def __init__(self, problems: Sequence[Problem], *, source: str = "") -> None:
        self.problems = tuple(problems)
        self.source = source
        super().__init__("\n".join(f"{source}: {p}" if source else str(p) for p in self.problems))


class ConflictError(InputError):
    """The study exists and what is asked for would change its meaning; another `epoch` starts a new one."""


class UnavailableError(HpoError):
    """A server does not answer now (database, object store). The same call may succeed later."""


class RefusedError(HpoError):
    """A server answers no: permission, missing bucket, a store without conditional create. Not worth a retry."""


class IntegrityError(HpoError):
    """What is stored is not what the protocol wrote; the message names the object or row."""
