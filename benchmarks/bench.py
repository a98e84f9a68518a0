"""Measures everything that the README says about speed; prints tables and writes results.json.

    make bench                                              all of it (about half an hour)
    make bench QUICK=1                                      small sizes, to see that it works; writes nothing
    .venv/bin/python -m benchmarks.bench noop ledger        some measures; writes nothing

One measurement at a time; for figures that mean something nothing else may run on the machine.
"""

import argparse
import json
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.measures import house_prices, ledger, memory, noop, parsing, slots
from benchmarks.measures.airflow_run import airflow
from benchmarks.measures.machine import describe

RESULTS = Path(__file__).with_name("results.json")

AS_SHIPPED = {"memory": memory, "noop": noop, "house_prices": house_prices}
"""Measured on one embedded Airflow with the settings that we ship."""
ON_ITS_OWN = {"ledger": ledger, "parsing": parsing}
"""Without Airflow."""
TABLES = {"slots": slots.table, **{name: each.table for name, each in (AS_SHIPPED | ON_ITS_OWN).items()}}


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("measures", nargs="*", help=f"some of {', '.join(TABLES)}; default: all")
    parser.add_argument("--quick", action="store_true", help="small sizes; results.json stays as it is")
    parser.add_argument(
        "--out", type=Path, help="write the results there; default: results.json, if all is measured"
    )
    arguments = parser.parse_args()
    chosen = set(arguments.measures or TABLES)
    if unknown := chosen - set(TABLES):
        parser.error(f"no such measure: {', '.join(sorted(unknown))}")
    console = Console(width=110)
    machine = describe()
    runs = {}
    for name, found in measure(chosen, quick=arguments.quick):
        runs[name] = found
        console.print(TABLES[name](found))
    everything = chosen == set(TABLES)
    out = arguments.out or (RESULTS if everything and not arguments.quick else None)
    if out is None:
        return
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    figures = headline(runs) if everything else {}
    document = {**figures, **machine, "quick": arguments.quick, "runs": runs, "peers": before.get("peers")}
    out.write_text(json.dumps(document, indent=1) + "\n")
    console.print(f"written to {os.path.relpath(out)}")


def measure(chosen: Collection[str], *, quick: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Take the chosen measures, one after the other; yields name and result of each."""
    if shipped := [name for name in AS_SHIPPED if name in chosen]:
        with airflow() as started:
            for name in shipped:
                yield name, AS_SHIPPED[name].measure(started, quick=quick)
    if "slots" in chosen:
        with airflow(slots.MOST) as started:
            yield "slots", slots.measure(started, quick=quick)
    for name in (name for name in ON_ITS_OWN if name in chosen):
        yield name, ON_ITS_OWN[name].measure(quick=quick)


def headline(runs: dict[str, Any]) -> dict[str, Any]:
    """The figures that have a target."""
    longest = max(row["recorded"] for row in runs["ledger"]["rows"])
    long = [row for row in runs["ledger"]["rows"] if row["recorded"] == longest]
    return {
        "noop_s_per_trial": runs["noop"]["entry_point"]["s_per_trial"],
        "noop_packed_s_per_trial": runs["noop"].get("packed", {}).get("s_per_trial"),
        "bare_noop_s_per_trial": runs["noop"]["bare"]["s_per_trial"],
        "house_prices_ratio": runs["house_prices"]["ratio"],
        "recorded_trials": longest,
        "ask_s": max(row["ask_s"] for row in long),
        "tell_s": max(row["tell_s"] for row in long),
        "parse_100_files_s": runs["parsing"]["parse_100_files_s"],
        "task_import_s": runs["parsing"]["task_start_1_file_s"],
        "fresh_process_import_s": runs["parsing"]["import_over_sdk_s"],
        "memory_at_rest_mib": runs["memory"]["total_mib"],
    }


if __name__ == "__main__":
    main()
