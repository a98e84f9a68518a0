"""house_prices with fixed configurations, beside two plain Optuna processes that train the same ones.

The shipped study file on one day's 100,000 rows, with two changes: every configuration is given (`initial`), and 100
boosting rounds instead of 1,500, so that a run takes about a minute. Longer trials bring every ratio nearer to 1.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import optuna
import psutil
from rich.table import Table
from ruamel.yaml import YAML

from benchmarks.measures.airflow_run import PROGRAMS, Run, run
from hpo_tasks.examples import house_prices as data
from hpo_tasks.spec import load
from hpo_tasks.study.propose import History, propose
from hpo_tasks.trial import layout
from tests.flow.embedded_airflow import EmbeddedAirflow

ROOT = Path(__file__).parents[2]
STUDY_FILE = ROOT / "dags" / "studies" / "house_prices.yaml"
DAY = date(2026, 1, 1)
TABLE = f"{data.NAME}/{DAY.isoformat()}/train.parquet"
ROUNDS = 100
CONFIGURATIONS = 40
PAIRS = 3
BATCHES = (2, 4, 8)
BATCHED = 16
"""Configurations of the runs in small rounds."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How a run of ours is laid out; `batch_size` 0: one round for all configurations."""

    batch_size: int = 0
    slots: int = 2
    threads: int = 1


def measure(started: EmbeddedAirflow, *, quick: bool) -> dict[str, Any]:
    """Runs in turn with plain Optuna, in rounds of 2, 4 and 8, and as one trial with two threads."""
    count, pairs, few = (4, 1, 4) if quick else (CONFIGURATIONS, PAIRS, BATCHED)
    configurations = fixed_configurations(count)
    found: dict[str, Any] = {"configurations": count, "pairs": []}
    for number in range(pairs):
        row, work = _ours(started, f"pair_{number}", configurations, Shape())
        found["pairs"].append({"ours": row, "plain": plain(work, row.pop("values"))})
    found["ratio"] = round(
        statistics.median(pair["ours"]["wall_s"] / pair["plain"]["wall_s"] for pair in found["pairs"]), 3
    )
    found["batches"] = {}
    for batch in (2,) if quick else BATCHES:
        row, _ = _ours(started, f"batch_{batch}", configurations[:few], Shape(batch_size=batch))
        found["batches"][str(batch)] = {**row, "configurations": few, "values": None}
    row, _ = _ours(started, "threads", configurations[:few], Shape(slots=1, threads=2))
    found["one_slot_two_threads"] = {**row, "configurations": few, "values": None}
    row, _ = _ours(started, "slots", configurations[:few], Shape())
    found["two_slots_one_thread"] = {**row, "configurations": few, "values": None}
    return found


def one_run(started: EmbeddedAirflow, count: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """One run of ours in two slots; returns its row, with the `values`, and the same work for others."""
    return _ours(started, "alone", fixed_configurations(count), Shape())


def table(found: dict[str, Any]) -> Table:
    """One row a run."""
    shown = Table(title=f"house_prices: ratio {found['ratio']:.2f} (median of {len(found['pairs'])} pairs)")
    for column in ("run", "configurations", "wall s", "CPU", "slot time idle"):
        shown.add_column(column, justify="left" if column == "run" else "right")
    for number, pair in enumerate(found["pairs"]):
        _add(shown, f"ours {number}", found["configurations"], pair["ours"])
        _add(shown, f"plain Optuna {number}", found["configurations"], pair["plain"])
    for batch, row in found["batches"].items():
        _add(shown, f"ours, rounds of {batch}", row["configurations"], row)
    for name in ("two_slots_one_thread", "one_slot_two_threads"):
        _add(shown, name.replace("_", " "), found[name]["configurations"], found[name])
    return shown


def fixed_configurations(count: int) -> list[dict[str, Any]]:
    """Random configurations of the study file's search space, always the same."""
    spec = load(STUDY_FILE)
    random = spec.optimizer.model_copy(update={"sampler": "random", "options": {}})
    spec = spec.model_copy(update={"optimizer": random, "initial": ()})
    return [dict(proposal.params) for proposal in propose(spec, 1, History(), count).batch]


def plain(work: Mapping[str, Any], expected: list[float] | None = None) -> dict[str, float]:
    """Two plain Optuna processes over one study in SQLite; checks that they found the expected values."""
    with tempfile.TemporaryDirectory() as folder:
        path, url = Path(folder, "work.json"), f"sqlite:///{folder}/study.db"
        path.write_text(json.dumps(work))
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(study_name="plain", storage=url)
        argv = [sys.executable, str(PROGRAMS / "plain_optuna.py"), url, str(path)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        with cpu_use() as used:
            workers = [subprocess.Popen(argv, env=environment) for _ in range(2)]
            if any(worker.wait() for worker in workers):
                raise RuntimeError("a plain Optuna worker failed")
        values = [trial.value for trial in study.trials[: len(work["configurations"])]]
    if expected is not None and values != expected:
        raise RuntimeError(f"plain Optuna found other values: {values}, not {expected}")
    return dict(used)


@contextmanager
def cpu_use() -> Iterator[dict[str, float]]:
    """Wall seconds of the block, and the share of the machine's processor time that was used meanwhile."""
    before, began = psutil.cpu_times(), time.perf_counter()
    found: dict[str, float] = {}
    yield found
    found["wall_s"] = round(time.perf_counter() - began, 3)
    spent = [after - earlier for after, earlier in zip(psutil.cpu_times(), before, strict=True)]
    idle = spent[before._fields.index("idle")] + spent[before._fields.index("iowait")]
    guest = spent[before._fields.index("guest")] + spent[before._fields.index("guest_nice")]  # part of user
    found["cpu_share"] = round(1 - idle / max(sum(spent) - guest, 1e-9), 3)


def _ours(
    started: EmbeddedAirflow, stem: str, configurations: list[dict[str, Any]], shape: Shape
) -> tuple[dict[str, Any], dict[str, Any]]:
    """One run of ours; returns its row and the same work for others, seeds included."""
    if not (started.home.data / TABLE).exists():
        data.generate(started.home.data, DAY, DAY)
    document = YAML(typ="safe").load(STUDY_FILE)
    trial = document["trial"]
    options = {**trial["options"], "n_estimators": ROUNDS}
    changes = {
        "objective": document["objective"],
        "search": {**document["search"], "x": None, "y": None},
        "constraints": document["constraints"],
        "initial": configurations,
        "batch_size": shape.batch_size or len(configurations),
        "budget": {"trials": len(configurations)},
        "trial": {
            **dict.fromkeys(("command", "code", "env")),
            "trainer": trial["trainer"],
            "inputs": {"train": TABLE},
            "options": options,
            "timeout": trial["timeout"],
            "resources": {"threads": shape.threads, "memory": "4GiB"},
        },
        "backend": {"slots": shape.slots},
    }
    with cpu_use() as used:
        measured = run(started, f"house_prices_{stem}", **changes)
    outcomes = measured.outcomes()
    if failed := [outcome for outcome in outcomes if outcome["class"] != "complete"]:
        raise RuntimeError(f"{stem}: {len(failed)} trials failed, the first: {failed[0]['reason']}")
    if len(outcomes) != len(configurations):
        raise RuntimeError(f"{stem}: {len(outcomes)} outcomes of {len(configurations)} trials")
    row = {
        "wall_s": round(measured.wall_s, 3),
        "cpu_share": used["cpu_share"],
        "slot_idle_share": round(idle_share(measured, shape.slots), 3),
        "values": [outcome["values"]["rmse"] for outcome in outcomes],
    }
    work = {
        "data": str(started.home.data / TABLE),
        "options": {**options, "metrics": ["rmse"]},
        "configurations": _handed_out(measured),
    }
    return row, work


def idle_share(measured: Run, slots: int) -> float:
    """Share of the slots' time, from the first ask's end to the last tell's start, in which no trial ran."""
    busy = sum(outcome["duration_s"] for outcome in measured.outcomes())
    return max(0.0, 1 - busy / (slots * measured.train_s))


def _handed_out(measured: Run) -> list[dict[str, Any]]:
    """Parameters and seed of every trial, by round and slot."""
    rounds = sorted({outcome["round"] for outcome in measured.outcomes()})
    batches = [
        json.loads((measured.store / layout.batch_key(measured.study, number)).read_bytes())
        for number in rounds
    ]
    return [
        {"params": row["params"], "seed": row["seed"]} for batch in batches for row in batch["configurations"]
    ]


def _add(shown: Table, name: str, count: int, row: Mapping[str, Any]) -> None:
    idle = f"{row['slot_idle_share']:.0%}" if "slot_idle_share" in row else ""
    shown.add_row(name, str(count), f"{row['wall_s']:.1f}", f"{row['cpu_share']:.0%}", idle)
