"""Run histories: `python -m tests.simulator --histories 100000 --seed 1`, or replay one: `--replay SEED`."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from tests.simulator.bugs import BUGS
from tests.simulator.campaign import WITHIN, catch, catch_all, run
from tests.simulator.histories import simulator
from tests.simulator.real_tables import in_sqlite
from tests.simulator.world import in_memory

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks/simulator.json"


def main() -> int:
    """Returns 1 if something was violated, or a bug was not found."""
    options = _options()
    if options.replay is not None:
        return _replay(options.replay, options.bug, in_sqlite if options.sqlite else in_memory)
    if options.bug:
        caught = catch(options.bug, options.seed)
        print(f"{options.bug}: {caught if caught is None else f'caught by history {caught}'}")
        return int(caught is None)
    found = run(options.seed, options.histories, options.processes)
    bugs = catch_all(options.seed, options.processes) if options.bugs else {}
    if options.write:
        RESULTS.write_text(json.dumps({**found, "bugs": bugs}, indent=2) + "\n")
    missed = [name for name, histories in bugs.items() if histories is None]
    print("".join(f"{name}: not caught within {WITHIN} histories\n" for name in missed), end="")
    return int(bool(found["violated"] or missed))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("--histories", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1, help="of the first history; the next ones count up")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument(
        "--replay", type=int, metavar="SEED", help="print one history, one line for each event"
    )
    parser.add_argument("--sqlite", action="store_true", help="replay on the real tables")
    parser.add_argument("--bug", choices=sorted(BUGS), help="with a bug of bugs.py")
    parser.add_argument("--bugs", action="store_true", help=f"also catch each bug within {WITHIN} histories")
    parser.add_argument("--write", action="store_true", help=f"write the figures to {RESULTS.name}")
    return parser.parse_args()


def _replay(seed: int, bug: str | None, tables: Callable) -> int:
    with BUGS[bug]() if bug else nullcontext(), simulator(tables) as simulate:
        history = simulate.run(seed)
    print("\n".join(history.lines()))
    print("\n".join(f"VIOLATED {violation}" for violation in history.violations) or "all is well")
    return int(bool(history.violations))


if __name__ == "__main__":
    sys.exit(main())
