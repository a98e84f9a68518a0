"""What the fixture `hpo` gives to tests."""

from collections.abc import Callable
from typing import NamedTuple


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Hpo = Callable[..., Ended]
