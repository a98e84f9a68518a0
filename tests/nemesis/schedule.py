"""What is done to whom and when: a seed and a deck of deeds give an endless sequence, always the same one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random

PAUSE_S = (3.0, 11.0)
AWAY_S = (1.0, 12.0)
DELAY_S = (0.0, 0.8)


@dataclass(frozen=True, slots=True)
class Step:
    """One deed.

    Attributes:
        deed: its name.
        pause_s: how long nothing is done before it.
        away_s: how long what it stops stays stopped, if it is a deed that stops something.
        choice: at least 0 and less than 1; picks one of several victims.
        delay_s: how long a chosen process is left alone, so that what has just begun is not all that is ever hit.
    """

    deed: str
    pause_s: float
    away_s: float
    choice: float
    delay_s: float


def steps(seed: int, deck: Mapping[str, int], *, pause_s: tuple[float, float] = PAUSE_S) -> Iterator[Step]:
    """Deal the whole deck in a random order, again and again, so that rare deeds come as often as they should.

    Args:
        seed: the same seed and deck give the same steps.
        deck: deed → how often it is in the deck.
        pause_s: shortest and longest pause before a deed.
    """
    random = Random(seed)
    cards = [deed for deed, count in deck.items() for _ in range(count)]
    while cards:
        random.shuffle(cards)
        for deed in cards:
            yield Step(
                deed,
                pause_s=round(random.uniform(*pause_s), 1),
                away_s=round(random.uniform(*AWAY_S), 1),
                choice=random.random(),
                delay_s=round(random.uniform(*DELAY_S), 2),
            )
