"""One configuration of house_prices, trained by our own trainer without anything around it.

What it reads: a JSON file {"data": path, "options": {…}, "configurations": [{"params": {…}, "seed": n}, …]}.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from hpo_tasks.trial import trainers
from hpo_tasks.trial.session import Session

METRIC = "rmse"


def read_work(path: str) -> dict[str, Any]:
    """The file that names data, options and configurations."""
    work: dict[str, Any] = json.loads(Path(path).read_bytes())
    return work


def train(work: dict[str, Any], index: int) -> float:
    """Train one configuration with one thread; returns its error on the validation rows."""
    configuration = work["configurations"][index]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        session = Session(
            params=configuration["params"],
            inputs={"train": work["data"]},
            seed=configuration["seed"],
            threads=1,
            checkpoint_dir=place,
            model_dir=place,
            _metrics=place / "metrics",
            _stop=place / "stop",
        )
        return trainers.run("xgboost", session, work["options"])[METRIC]
