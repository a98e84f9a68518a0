"""Kill parts of a real Airflow at random moments, and hold what was recorded against what the trials noted themselves.

    python -m tests.nemesis                              campaigns on both stacks until the goal is reached (an hour)
    python -m tests.nemesis --stack celery --kills 50    one campaign
    python -m tests.nemesis --stack celery --seed 7      the schedule of that seed again

Adds what was seen to `benchmarks/nemesis.json`, and prints the sums.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "nemesis.json"
sys.path[:0] = [str(ROOT / "tests")]  # for the servers of the tests

from tests.nemesis.campaign import Plan, run  # noqa: E402 - needs the line above
from tests.nemesis.figures import STACKS, add, reached, table  # noqa: E402


def main() -> int:
    """Returns 1 if something did not hold."""
    options = _options()
    stacks = [options.stack] if options.stack else list(STACKS)
    once = options.seed is not None or options.stack is not None or options.only is not None
    held = True
    while held:
        for stack in stacks:
            held &= _campaign(stack, options)
        results = json.loads(RESULTS.read_text())
        print(table(results))
        if once or reached(results["totals"]):
            break
    return 0 if held else 1


def _campaign(stack: str, options: argparse.Namespace) -> bool:
    """One campaign; its folder stays if something did not hold."""
    seed = options.seed if options.seed is not None else _next_seed()
    deck = dict.fromkeys(options.only.split(","), 1) if options.only else None
    plan = Plan(
        stack,
        seed,
        options.kills,
        options.studies,
        options.trials,
        options.work,
        options.worker_timeout,
        deck,
    )
    folder = Path(tempfile.mkdtemp(prefix="hpo-nemesis-"))
    began = time.monotonic()
    say(f"{stack}, seed {seed}, {plan.kills} kills, in {folder}")
    figures = run(plan, folder, say)
    row = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        **figures,
        "duration_s": round(time.monotonic() - began),
    }
    add(RESULTS, row)
    violations = [text for found in row["violations"].values() for text in found]
    for text in violations:
        say(f"VIOLATED {text}")
    if violations:
        say(f"again: --stack {stack} --seed {seed}; what is left lies in {folder}")
    else:
        shutil.rmtree(folder)
    return not violations


def say(text: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", flush=True)


def _next_seed() -> int:
    rows: list[dict[str, Any]] = json.loads(RESULTS.read_text())["runs"] if RESULTS.exists() else []
    return max((row["seed"] for row in rows), default=0) + 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.nemesis", description=__doc__.partition("\n")[0])
    parser.add_argument("--stack", choices=STACKS, help="only there, one campaign")
    parser.add_argument("--seed", type=int, help="of the schedule; one campaign per stack")
    parser.add_argument("--kills", type=int, default=50, help="of each campaign")
    parser.add_argument("--studies", type=int, default=4, help="going on at the same time")
    parser.add_argument("--trials", type=int, default=48, help="of each study")
    parser.add_argument("--work", type=float, default=0.6, help="seconds that a trial takes")
    parser.add_argument(
        "--worker-timeout", type=int, default=180, help="HPO_WORKER_TIMEOUT_S of the Celery stack"
    )
    parser.add_argument("--only", metavar="DEED,…", help="these deeds alone")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
