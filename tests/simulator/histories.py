"""Histories by seed, each compared with what is proposed when nothing goes wrong."""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from tests.simulator.world import History, MakeTables, Plan, World, in_memory, plan_of

CALM = 0


class Simulator:
    """Runs histories. What a study proposes without faults is remembered, per simulator."""

    def __init__(self, make_tables: MakeTables) -> None:
        self._make_tables = make_tables
        self._calm: dict[tuple[int, str], dict] = {}

    def run(self, seed: int) -> History:
        """The history of a seed."""
        plan = plan_of(seed)
        world = World(seed, plan, self._make_tables)
        history = world.run()
        history.seed = seed
        for name, proposals in history.proposals.items():
            expected = self._undisturbed(plan.shape, name)
            for key, params in proposals.items():
                if params != expected.get(key, params):
                    history.violations.append(
                        f"D: trial {list(key)} of {name} is {params}, without faults {expected[key]}"
                    )
        return history

    def _undisturbed(self, shape: int, name: str) -> dict[tuple[int, int], dict]:
        if (shape, name) not in self._calm:
            history = World(
                CALM, Plan(shape, (name,), may_lose_locks=False), self._make_tables, calm=True
            ).run()
            if history.violations:
                raise AssertionError(f"violated without any fault: {history.violations}")
            self._calm[shape, name] = history.proposals[name]
        return self._calm[shape, name]


@contextmanager
def simulator(tables: Callable[[], AbstractContextManager[MakeTables]] = in_memory) -> Iterator[Simulator]:
    """A simulator over tables in memory, or over others."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with tables() as make_tables:
            yield Simulator(make_tables)
    finally:
        logging.disable(disabled)
