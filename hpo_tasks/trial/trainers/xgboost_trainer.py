"""Gradient boosted trees: XGBRegressor and XGBClassifier (`trainer: xgboost`)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xgboost as xgb

from hpo_tasks.errors import InputError
from hpo_tasks.trial.session import Session
from hpo_tasks.trial.trainers.features import Rows, Schema
from hpo_tasks.trial.trainers.options import CLASSIFICATION_METRICS, GREATER_IS_BETTER, Options
from hpo_tasks.trial.trainers.parameters import estimator_params
from hpo_tasks.trial.trainers.scores import SCORES

MAX_REPORTS = 100

NATIVE_PARAMS = frozenset(
    {
        *("rate_drop", "one_drop", "skip_drop", "sample_type", "normalize_type"),  # booster: dart
        *("updater", "feature_selector", "top_k"),  # booster: gblinear
        *("tweedie_variance_power", "huber_slope", "quantile_alpha"),  # of an objective
        *("refresh_leaf", "max_cached_hist_node"),
        *("eta", "lambda", "alpha", "min_split_loss"),  # XGBoost's own names of scikit-learn-style ones
    }
)
"""Parameters of the booster that the estimator's constructor does not name but passes on."""

TAKEN = {
    "n_jobs": "trial.resources.threads",
    "nthread": "trial.resources.threads",
    "eval_metric": "objective.metric",
    "enable_categorical": "text columns in the table, which are categories",
    "feature_types": "text columns in the table, which are categories",
    "missing": "empty cells in the table",
    "callbacks": "trial.options.early_stopping_rounds",
}


def make_trainer(schema: Schema, session: Session, options: Options) -> "XgboostTrainer":
    """The trainer of one trial.

    Raises:
        InputError: a parameter or a column name that XGBoost does not take.
    """
    for column in schema.features:
        if any(char in column for char in "[]<"):
            raise InputError(
                f"column {column!r}: XGBoost allows no [, ] or < in names; rename or drop the column"
            )
    estimator = xgb.XGBRegressor if schema.task == "regression" else xgb.XGBClassifier
    known = frozenset(estimator().get_params()) | NATIVE_PARAMS
    params = estimator_params(session.params, known, TAKEN)
    early_stopping_rounds = params.pop("early_stopping_rounds", options.early_stopping_rounds)
    return XgboostTrainer(
        estimator=estimator,
        params={"n_estimators": options.n_estimators, "random_state": session.seed, **params},
        early_stopping_rounds=early_stopping_rounds,
        metric=options.metrics[0],
        session=session,
    )


@dataclass(frozen=True, slots=True)
class XgboostModel:
    """See `evaluation.Model`."""

    estimator: xgb.XGBModel
    rounds: int | None

    def predict(self, features: pd.DataFrame) -> np.ndarray:
        if isinstance(self.estimator, xgb.XGBClassifier):
            return np.asarray(self.estimator.predict_proba(features))
        return np.asarray(self.estimator.predict(features))

    def save(self, folder: Path) -> Mapping[str, Any]:
        self.estimator.save_model(folder / "model.ubj")
        return {"trainer": "xgboost", "model": "model.ubj", "rounds": self.rounds}


@dataclass(frozen=True, slots=True)
class XgboostTrainer:
    """One configuration. With early stopping a model keeps the rounds up to its best one.

    Attributes:
        estimator: class of the estimator.
        params: its constructor's arguments.
        early_stopping_rounds: rounds without improvement of `metric` before training ends; None: never.
        metric: name of the score that is watched and reported.
        session: of the trial.
    """

    estimator: type[xgb.XGBModel]
    params: Mapping[str, Any]
    early_stopping_rounds: int | None
    metric: str
    session: Session

    def fit(
        self, train: Rows, valid: Rows | None, *, rounds: int | None = None, report: bool = False
    ) -> XgboostModel:
        """See `evaluation.Trainer`."""
        params = {**self.params, **({"n_estimators": rounds} if rounds is not None else {})}
        callbacks = self._callbacks(params, report=report) if valid is not None else []
        model = self.estimator(
            **params,
            n_jobs=self.session.threads,
            enable_categorical=True,
            callbacks=callbacks,
            eval_metric=_watched(self.metric),
            disable_default_eval_metric=True,
        )
        watched = [(valid.features, valid.target)] if valid is not None else None
        try:
            model.fit(train.features, train.target, eval_set=watched, verbose=False)
        except (xgb.core.XGBoostError, ValueError) as error:
            raise InputError(f"xgboost: {_reason(error)}") from None
        return XgboostModel(model, rounds=model.get_booster().num_boosted_rounds())

    def _callbacks(self, params: Mapping[str, Any], *, report: bool) -> list[xgb.callback.TrainingCallback]:
        reports = MAX_REPORTS if report else 0
        progress = _Progress(self.session, self.metric, params.get("n_estimators") or 100, reports)
        if not self.early_stopping_rounds:
            return [progress]
        early_stopping = xgb.callback.EarlyStopping(
            rounds=self.early_stopping_rounds,
            metric_name=self.metric,
            maximize=self.metric in GREATER_IS_BETTER,
            # A linear model cannot go back to an earlier round.
            save_best=params.get("booster") != "gblinear",
        )
        # In this order: the first that ends training hides the round from the others, and early stopping has to see
        # each round to know the best.
        return [early_stopping, progress]


class _Progress(xgb.callback.TrainingCallback):  # type: ignore[misc]  # XGBoost brings no types
    """Reports the watched metric, so often at most, and ends training when the session says so."""

    def __init__(self, session: Session, metric: str, rounds: int, reports: int) -> None:
        super().__init__()
        self._session = session
        self._metric = metric
        self._every = -(-rounds // reports) if reports else 0

    def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Any]) -> bool:  # noqa: ARG002
        if self._every and (epoch + 1) % self._every == 0:
            [values] = (log[self._metric] for log in evals_log.values())
            self._session.report(epoch + 1, **{self._metric: values[-1]})
        return bool(self._session.should_stop())


def _watched(name: str) -> Callable[[np.ndarray, np.ndarray], float]:
    """The metric as XGBoost calls it: under its name, and with the second class's probability for two classes."""

    def watched(truth: np.ndarray, prediction: np.ndarray) -> float:
        if name in CLASSIFICATION_METRICS and prediction.ndim == 1:
            prediction = np.column_stack([1 - prediction, prediction])
        return float(SCORES[name](truth, prediction))

    watched.__name__ = name
    return watched


def _reason(error: Exception) -> str:
    """XGBoost's own sentence, without time, source file and stack trace."""
    line = str(error).splitlines()[0]
    return line.split(": ", 1)[1] if line.startswith("[") and ": " in line else line
