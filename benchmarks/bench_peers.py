"""The same trials on Syne Tune and Ray Tune, in turn with ours; adds `peers` to results.json.

    make bench-peers                 make bench-peers QUICK=1     (small sizes; writes nothing)

Each peer has an environment of its own with the versions of `peers/*.txt`. Their clocks start when everything is
imported and, for Ray, the cluster runs, as Airflow does for ours.
"""

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.bench import RESULTS
from benchmarks.measures import house_prices, noop
from benchmarks.measures.airflow_run import airflow
from benchmarks.measures.machine import describe

ROOT = Path(__file__).parents[1]
PEERS = Path(__file__).with_name("peers")
NOOP_TRIALS = 64


@dataclass(frozen=True, slots=True)
class Peer:
    """One way to run a peer: its environment, its program, and further arguments."""

    title: str
    environment: str
    program: str
    arguments: tuple[str, ...] = ()


RUNS = {
    "syne_tune": Peer("Syne Tune 0.16.0", "syne-tune", "syne_tune_study.py"),
    "syne_tune_fast": Peer(
        "Syne Tune 0.16.0, polling sleep 0.1 s", "syne-tune", "syne_tune_study.py", ("0.1",)
    ),
    "ray_tune": Peer("Ray Tune 2.60.0", "ray-tune", "ray_tune_study.py"),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench-peers")
    parser.add_argument("--quick", action="store_true", help="small sizes; results.json stays as it is")
    quick = parser.parse_args().quick
    console = Console(width=110)
    found = {**describe(), **measure(quick=quick)}
    console.print(table(found))
    if not quick:
        document = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        RESULTS.write_text(json.dumps({**document, "peers": found}, indent=1) + "\n")
        console.print(f"written to {os.path.relpath(RESULTS)}")


def measure(*, quick: bool) -> dict[str, Any]:
    """Both measurements: ours, bare processes or plain Optuna, then every peer."""
    trials = 8 if quick else NOOP_TRIALS
    with airflow() as started:
        own = noop.entry_point(started, trials)
        bare_s = noop.bare(trials)
        ours, work = house_prices.one_run(started, 4 if quick else house_prices.CONFIGURATIONS)
        expected = ours.pop("values")
        plain = house_prices.plain(work, expected)
        numbers = list(map(float, range(trials)))
        noops = {name: run(peer, {"count": trials}, numbers) / trials for name, peer in RUNS.items()}
        homes = {
            name: run(peer, {**work, "count": len(work["configurations"])}, expected)
            for name, peer in RUNS.items()
        }
    return {
        "noop_s_per_trial": {"ours": own["s_per_trial"], "bare": bare_s, **noops},
        "house_prices_wall_s": {"ours": ours["wall_s"], "plain": plain["wall_s"], **homes},
    }


def run(peer: Peer, work: Mapping[str, Any], expected: list[float]) -> float:
    """Wall seconds of one study; checks that it found the expected losses.

    Raises:
        RuntimeError: it failed, or found others.
    """
    with tempfile.TemporaryDirectory() as folder:
        path, result = Path(folder, "work.json"), Path(folder, "result.json")
        path.write_text(json.dumps(work))
        python = ROOT / f".venv-peers-{peer.environment}" / "bin" / "python"
        # Both keep files below HOME; one thread a trial, as everywhere.
        environment = os.environ | {"HOME": folder, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [python, PEERS / peer.program, path, result, *peer.arguments],
            env=environment, cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(f"{peer.title}: {done.stderr[-2000:]}")
        document = json.loads(result.read_bytes())
    if document["values"] != expected:
        raise RuntimeError(f"{peer.title} found other losses: {document['values']}, not {expected}")
    return float(document["wall_s"])


def table(found: Mapping[str, Any]) -> Table:
    """One row for each orchestrator."""
    titles = {"ours": "hpo-tasks", "bare": "two bare processes", "plain": "two plain Optuna processes"}
    titles |= {name: peer.title for name, peer in RUNS.items()}
    noops, homes = found["noop_s_per_trial"], found["house_prices_wall_s"]
    shown = Table(title="Ours and others, on the same machine")
    for column in ("", "s per no-op trial", "house_prices s", "over plain Optuna"):
        shown.add_column(column, justify="right" if column else "left")
    for name, title in titles.items():
        none = f"{noops[name]:.3f}" if name in noops else ""
        home = homes.get(name)
        ratio = f"{home / homes['plain']:.2f}" if home else ""
        shown.add_row(title, none, f"{home:.1f}" if home else "", ratio)
    return shown


if __name__ == "__main__":
    main()
