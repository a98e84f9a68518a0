"""Train, score, save: what is the same for every library."""

import json
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from hpo_tasks.trial.session import Session
from hpo_tasks.trial.trainers.features import Rows, Schema, encode, learn_schema
from hpo_tasks.trial.trainers.options import Options
from hpo_tasks.trial.trainers.parameters import train_samples
from hpo_tasks.trial.trainers.scores import score
from hpo_tasks.trial.trainers.splits import all_rows, make_splits, subsample
from hpo_tasks.trial.trainers.tables import read_table

SIDE_FILE = "model.json"


class Model(Protocol):
    """A fitted model."""

    @property
    def rounds(self) -> int | None:
        """Boosting rounds that it consists of; None where there are no rounds."""

    def predict(self, features: pd.DataFrame) -> np.ndarray:
        """Predictions (n,) for regression, class probabilities (n, classes) for classification."""

    def save(self, folder: Path) -> Mapping[str, Any]:
        """Write the model in the library's own safe format; returns what the side file should say about it."""


class Trainer(Protocol):
    """One library's estimator with one configuration."""

    def fit(
        self, train: Rows, valid: Rows | None, *, rounds: int | None = None, report: bool = False
    ) -> Model:
        """Fit a new model.

        Args:
            train: rows to learn from.
            valid: rows to watch while learning, to end early or when the session says so; None learns to the end.
            rounds: boosting rounds, instead of what the configuration says.
            report: report the first metric while learning.

        Raises:
            InputError: the library refuses a value of the configuration; its reason in one line.
        """


MakeTrainer = Callable[[Schema, Session, Options], Trainer]


def evaluate(make_trainer: MakeTrainer, session: Session, options: Options) -> dict[str, float]:
    """Read the tables, train and validate as the options say, save the model. See `trainers.run`."""
    table = read_table(session.inputs["train"])
    schema = learn_schema(table, options)
    trainer = make_trainer(schema, session, options)
    rows = encode(table, schema)
    model: Model | None
    if options.folds is not None:
        model, values = _folds(trainer, rows, schema, session, options)
    else:
        model, values = _holdout(trainer, rows, schema, session, options)
    if model is not None:
        _save(model, schema, session, options, values)
    return values


def _holdout(
    trainer: Trainer, rows: Rows, schema: Schema, session: Session, options: Options
) -> tuple[Model, dict[str, float]]:
    """The model that is judged is the model that is kept: it has not seen the validation rows."""
    if "valid" in session.inputs:
        train_rows = all_rows(rows, options)
        valid = encode(read_table(session.inputs["valid"]), schema)
    else:
        [(train_rows, valid_rows)] = make_splits(rows, schema, options)
        valid = rows.take(valid_rows)
    train = rows.take(subsample(train_rows, rows, schema, train_samples(session.params)))
    started = time.monotonic()
    model = trainer.fit(train, valid, report=True)
    fit_s = time.monotonic() - started
    values = score(options.metrics, valid.target, model.predict(valid.features))
    return model, {**values, "train_rows": float(len(train)), "fit_s": fit_s}


def _folds(
    trainer: Trainer, rows: Rows, schema: Schema, session: Session, options: Options
) -> tuple[Model | None, dict[str, float]]:
    """Mean over the folds' models; the model that is kept is fitted once more, on all rows.

    With early stopping that last one gets the mean of the folds' rounds. A trial that is asked to stop ends with the
    fold that it is in, without a model.
    """
    size = train_samples(session.params)
    scores: list[dict[str, float]] = []
    rounds: list[int] = []
    started = time.monotonic()
    for number, (train_rows, valid_rows) in enumerate(make_splits(rows, schema, options), start=1):
        train, valid = rows.take(subsample(train_rows, rows, schema, size)), rows.take(valid_rows)
        model = trainer.fit(train, valid)
        scores.append(score(options.metrics, valid.target, model.predict(valid.features)))
        rounds += [] if model.rounds is None else [model.rounds]
        session.report(number, **_mean(scores))
        if session.should_stop():
            fit_s = time.monotonic() - started
            return None, {**_mean(scores), **_std(scores), "train_rows": float(len(train)), "fit_s": fit_s}
    everything = rows.take(subsample(all_rows(rows, options), rows, schema, size))
    final = trainer.fit(everything, None, rounds=round(np.mean(rounds)) if rounds else None)
    fit_s = time.monotonic() - started
    return final, {**_mean(scores), **_std(scores), "train_rows": float(len(everything)), "fit_s": fit_s}


def _mean(scores: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([values[name] for values in scores])) for name in scores[0]}


def _std(scores: list[dict[str, float]]) -> dict[str, float]:
    return {f"{name}_std": float(np.std([values[name] for values in scores])) for name in scores[0]}


def _save(
    model: Model, schema: Schema, session: Session, options: Options, values: Mapping[str, float]
) -> None:
    about = model.save(session.model_dir)
    side_file = {
        **asdict(schema),
        **about,
        "params": dict(session.params),
        "options": asdict(options),
        "seed": session.seed,
        "metrics": dict(values),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "pandas", "scikit-learn", "skops", "xgboost")},
        },
    }
    Path(session.model_dir, SIDE_FILE).write_text(json.dumps(side_file, indent=2), encoding="utf-8")
