"""A session without a runner, and a table with everything that a table can hold."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpo_tasks.trial import trainers
from hpo_tasks.trial.session import Session


@dataclass(frozen=True)
class Trained:
    """What a run of a trainer left behind."""

    values: Mapping[str, float]
    reports: list[dict[str, Any]]
    model_dir: Path

    @property
    def side_file(self) -> dict[str, Any]:
        return json.loads((self.model_dir / "model.json").read_text())


Train = Callable[..., Trained]


@pytest.fixture
def train(tmp_path: Path) -> Train:
    """`train(trainer, uri, params, **options)` runs a trainer with the real session."""
    runs = 0

    def run(
        trainer: str, uri: Any, params: Mapping[str, Any] | None = None, *, stop: bool = False, **options: Any
    ) -> Trained:
        nonlocal runs
        runs += 1
        folder = tmp_path / f"run{runs}"
        (folder / "model").mkdir(parents=True)
        inputs = uri if isinstance(uri, dict) else {"train": str(uri)}
        session = Session(
            params=params or {},
            inputs=inputs,
            seed=3,
            threads=1,
            checkpoint_dir=folder,
            model_dir=folder / "model",
            _metrics=folder / "metrics.jsonl",
            _stop=folder / "stop",
        )
        if stop:
            (folder / "stop").touch()
        values = trainers.run(trainer, session, {"target": "target", **options})
        written = folder / "metrics.jsonl"
        lines = written.read_text().splitlines() if written.exists() else []
        return Trained(values, [json.loads(line) for line in lines], folder / "model")

    return run


@pytest.fixture
def write_table(tmp_path: Path) -> Callable[[pd.DataFrame, str], Path]:
    """Write a frame as `csv`, `csv.gz` or `parquet`."""

    def write(frame: pd.DataFrame, suffix: str) -> Path:
        path = tmp_path / f"table.{suffix}"
        if suffix == "parquet":
            frame.to_parquet(path, index=False)
        else:
            frame.to_csv(path, index=False)
        return path

    return write


@pytest.fixture
def mixed_file(write_table: Callable[[pd.DataFrame, str], Path]) -> Callable[[str, str], Path]:
    """`mixed_file(task, suffix)`: the table of `make_mixed_table` as a file."""
    return lambda task, suffix: write_table(make_mixed_table(task), suffix)


@pytest.fixture
def mixed_table() -> Callable[[str], pd.DataFrame]:
    return make_mixed_table


def make_mixed_table(task: str, rows: int = 300) -> pd.DataFrame:
    """Numbers, whole numbers, text, pandas categories and bools; all but the whole numbers with gaps; a target."""
    rng = np.random.default_rng(5)
    size = rng.normal(100, 30, rows)
    color = rng.choice(["red", "green", "blau, hell"], rows)
    frame = pd.DataFrame(
        {
            "size": size.astype("float32"),
            "rooms": rng.integers(1, 6, rows),
            "color": color,
            "grade": pd.Categorical(rng.choice(["A", "B"], rows), categories=["B", "A"], ordered=True),
            "garden": rng.random(rows) < 0.5,
            "empty": np.full(rows, np.nan),
            "id": np.arange(rows),
        }
    )
    worth = size / 30 + frame["rooms"] + 2 * (color == "red") + frame["garden"] + rng.normal(0, 0.2, rows)
    frame.loc[::7, "size"] = np.nan
    frame.loc[::11, "color"] = None
    frame.loc[::13, "grade"] = None
    frame["garden"] = frame["garden"].astype("object").where(frame.index % 17 != 0, None)
    if task == "regression":
        frame["target"] = worth
    else:
        frame["target"] = np.array(["cheap", "fair", "dear"])[np.digitize(worth, [6.5, 8.5])]
    return frame
