"""What goes wrong in one history: how often, how many times, and which kinds. All of it follows from the seed.

Each history draws the kinds that occur in it, a few of them all the time rather than all of them now and then ("swarm
testing"): two rare faults that only together do harm meet more often.
"""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")

SERVICES = ("store", "database", "backend")
CALL_FATES = (
    "request is lost",
    "reply is lost",
    "process dies before",
    "process dies after",
    "process stops before",
    "process stops after",
    "is down",
)
REPEATABLE_FATES = (*CALL_FATES, "arrives late", "arrives twice")
"""Fates of calls that change something."""
MAX_FAULTS = 20


class Faults:
    """Draws faults until the history's share of them is used up; from then on everything works.

    Attributes:
        left: how many are still to come.
        stickiness: probability that a process that could be interrupted goes on.
    """

    def __init__(self, seed: int, kinds: Sequence[str], *, calm: bool = False) -> None:
        random = self._random = Random(f"{seed} faults")
        self.left = 0 if calm else random.randrange(MAX_FAULTS)
        self.stickiness = random.choice((0.0, 0.5, 0.8, 0.95))
        of_call = random.choice((0.0, 0.01, 0.03, 0.1))
        self._of_call = {service: of_call * random.choice((0.0, 1.0, 3.0)) for service in SERVICES}
        self._of_airflow = random.choice((0.0, 0.01, 0.03, 0.06))
        self._fates = _some(random, REPEATABLE_FATES)
        self._kinds = _some(random, kinds)
        self._longest_pause_s = random.choice((2.0, 20.0, 200.0))
        self._down_until_s = dict.fromkeys(SERVICES, 0.0)

    def of_call(self, service: str, now_s: float, *, repeatable: bool = False) -> str:
        """What becomes of a call to a service: `arrives`, or one of the fates above."""
        if now_s < self._down_until_s[service]:
            return "is down"
        if not self._strikes(self._of_call[service]):
            return "arrives"
        fate = self._random.choice(self._fates)
        if fate not in CALL_FATES and not repeatable:
            return "arrives"
        if fate == "is down":
            self._down_until_s[service] = now_s + self._random.uniform(5, 100)
        return fate

    def of_airflow(self) -> str | None:
        """The fault that Airflow or its hosts suffer now, mostly none."""
        return self._random.choice(self._kinds) if self._strikes(self._of_airflow) else None

    def pick(self, candidates: Sequence[T]) -> T:
        """Whom it strikes."""
        return self._random.choice(candidates)

    def chance(self, probability: float) -> bool:
        """A coin."""
        return self._random.random() < probability

    def pause_s(self) -> float:
        """How long a stopped process stands still."""
        return self._random.uniform(0, self._longest_pause_s)

    def delay_s(self) -> float:
        """How long the network keeps a request."""
        return self._random.uniform(0, 30)

    def _strikes(self, probability: float) -> bool:
        if self.left and self._random.random() < probability:
            self.left -= 1
            return True
        return False


def _some(random: Random, kinds: Sequence[str]) -> list[str]:
    return random.sample(kinds, random.randint(1, len(kinds)))
