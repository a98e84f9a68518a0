"""Trying again while a server does not answer."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from hpo_tasks.errors import UnavailableError

T = TypeVar("T")

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 20.0


@dataclass(frozen=True, slots=True)
class Retries:
    """Repeats a call that raises UnavailableError, with pauses that double, until the patience is used up.

    Pauses are random between half and the whole of their length, so that a thousand jobs do not come back in step.

    Attributes:
        patience_s: from the first try to the start of the last one.
        clock: monotonic seconds.
        sleep: waits that many seconds.
    """

    patience_s: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def run(self, call: Callable[[], T]) -> T:
        """The result of the first try that succeeds.

        Raises:
            UnavailableError: the last try's, with how long it was tried. Every other error comes through at once.
        """
        deadline = self.clock() + self.patience_s
        longest = FIRST_PAUSE_S
        tries = 1
        while True:
            try:
                return call()
            except UnavailableError as error:
                pause = random.uniform(longest / 2, longest)  # noqa: S311 - jitter, no secret
                if self.clock() + pause > deadline:
                    message = f"{error} (tried {tries} times in {self.patience_s:g} s)"
                    raise UnavailableError(message) from error.__cause__
            self.sleep(pause)
            longest = min(2 * longest, LONGEST_PAUSE_S)
            tries += 1
