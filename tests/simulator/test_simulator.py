"""The product's steps under seeded faults: nothing is violated, and every bug put in on purpose is found."""

import pytest

from tests.simulator.bugs import BUGS
from tests.simulator.campaign import WITHIN, catch
from tests.simulator.histories import simulator
from tests.simulator.real_tables import in_sqlite

HISTORIES = 2000
COMPARED = 25


def test_no_history_violates_anything():
    """2,000 seeds; `make simulate` runs 100,000. A seed that fails here: `python -m tests.simulator --replay SEED`."""
    with simulator() as simulate:
        histories = [simulate.run(seed) for seed in range(HISTORIES)]
    assert {h.seed: h.violations for h in histories if h.violations} == {}
    # The faults did strike: trials were written twice, and trained in more than one attempt.
    assert sum(h.superseded for h in histories) > 0
    assert sum(h.trainings for h in histories) > sum(h.trials for h in histories)


def test_a_seed_is_a_history():
    """Replayed, it is the same, line by line; another one is not."""
    with simulator() as simulate:
        first, again, other = (list(simulate.run(seed).lines()) for seed in (4, 4, 5))
    assert first == again
    assert first != other


def test_the_tables_in_memory_do_what_the_real_ones_do():
    """The same seeds on SQLAlchemy, Optuna's storage and SQLite: the same histories, event for event."""
    seeds = range(COMPARED)
    with simulator() as simulate:
        in_memory = {seed: list(simulate.run(seed).lines()) for seed in seeds}
    with simulator(in_sqlite) as simulate:
        real = {seed: list(simulate.run(seed).lines()) for seed in seeds}
    assert [seed for seed in seeds if in_memory[seed] != real[seed]] == []


@pytest.mark.parametrize("name", BUGS)
def test_a_bug_is_caught(name):
    """Within 2,000 histories, or the simulator would not notice if the product lost this rule."""
    caught = catch(name)
    assert caught is not None, f"{name} was not caught within {WITHIN} histories"
