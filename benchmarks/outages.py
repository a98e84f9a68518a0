"""Outages at full length: a study on a real embedded Airflow loses something for ten minutes and gets it back.

    python benchmarks/outages.py                       all of them, three at a time (about an hour); needs root
    python benchmarks/outages.py store read_only       these
    python benchmarks/outages.py --seconds 60          shorter

Prints a line for each and writes what was seen into `benchmarks/outages.json`, the entries of the others kept.
An outage passes if the study completes afterwards, with every trial recorded once and none left running.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "outages.json"
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]


def main() -> int:
    """Run the outages; returns 1 if one of them did not pass."""
    from outage_scenarios import SCENARIOS  # noqa: PLC0415 - imports the tests' servers

    parser = argparse.ArgumentParser(description="a study through outages of full length")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SCENARIOS))
    parser.add_argument("--seconds", type=float, default=600.0, help="length of each outage")
    parser.add_argument("--together", type=int, default=3, help="how many at once")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.names) - set(SCENARIOS):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    if options.alone:
        with tempfile.TemporaryDirectory(prefix="hpo-outage-") as folder:
            seen = SCENARIOS[options.names[0]](Path(folder), options.seconds)
        sys.stdout.write(json.dumps(seen) + "\n")
        return 0
    if os.geteuid() != 0:
        parser.error("needs root: small file systems are mounted")
    names = options.names or list(SCENARIOS)
    with ThreadPoolExecutor(options.together) as pool:
        outcomes = list(pool.map(lambda name: _run(name, options.seconds), names))
    return 0 if all(outcomes) else 1


def _run(name: str, seconds: float) -> bool:
    """One outage in a process of its own, because each has an Airflow with settings of its own."""
    began = time.monotonic()
    command = [sys.executable, __file__, "--alone", "--seconds", str(seconds), name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        seen = json.loads(done.stdout.strip().splitlines()[-1])
    else:
        seen = {"passed": False, "error": done.stderr.strip().splitlines()[-12:]}
    seen |= {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores, {platform.platform()}",
        "load": round(os.getloadavg()[1], 1),
        "whole_s": round(time.monotonic() - began),
    }
    _keep(name, seen)
    print(f"{name:16} {'passed' if seen['passed'] else 'FAILED'}  {_in_words(seen)}", flush=True)
    return bool(seen["passed"])


def _in_words(seen: dict[str, Any]) -> str:
    facts = ("completed_after_s", "trained_again", "recorded", "error")
    return ", ".join(f"{fact} {seen[fact]}" for fact in facts if fact in seen)


def _keep(name: str, seen: dict[str, Any]) -> None:
    """Put one entry into the results file."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    ordered: Sequence[tuple[str, Any]] = sorted({**results, name: seen}.items())
    temporary = RESULTS.with_suffix(".tmp")
    temporary.write_text(json.dumps(dict(ordered), indent=1) + "\n")
    temporary.replace(RESULTS)


if __name__ == "__main__":
    sys.exit(main())
