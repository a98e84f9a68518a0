"""Metrics by name, as scikit-learn computes them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from sklearn import metrics

from hpo_tasks.errors import InputError

Score = Callable[[np.ndarray, np.ndarray], float]
"""(true values, predictions) → value. Predictions: (n,) for regression, probabilities (n, classes) else."""


def _hard(score: Callable[..., Any], **settings: Any) -> Score:
    """A metric of the most probable class."""
    return lambda truth, probability: float(score(truth, probability.argmax(axis=1), **settings))


def _log_loss(truth: np.ndarray, probability: np.ndarray) -> float:
    return float(metrics.log_loss(truth, probability, labels=np.arange(probability.shape[1])))


def _roc_auc(truth: np.ndarray, probability: np.ndarray) -> float:
    """Area under the ROC curve; for more than two classes the mean of one-versus-rest."""
    if probability.shape[1] == 2:
        return float(metrics.roc_auc_score(truth, probability[:, 1]))
    labels = np.arange(probability.shape[1])
    return float(metrics.roc_auc_score(truth, probability, multi_class="ovr", labels=labels))


def _f1(truth: np.ndarray, probability: np.ndarray) -> float:
    """F1 of the second class in sorted order; for more than two classes the unweighted mean over classes."""
    average = "binary" if probability.shape[1] == 2 else "macro"
    return _hard(metrics.f1_score, average=average, zero_division=0.0)(truth, probability)


SCORES: Mapping[str, Score] = {
    "rmse": metrics.root_mean_squared_error,
    "mae": metrics.mean_absolute_error,
    "r2": metrics.r2_score,
    "mape": metrics.mean_absolute_percentage_error,
    "log_loss": _log_loss,
    "roc_auc": _roc_auc,
    "accuracy": _hard(metrics.accuracy_score),
    "balanced_accuracy": _hard(metrics.balanced_accuracy_score),
    "f1": _f1,
}


def score(names: Iterable[str], truth: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    """Value of each named metric.

    Raises:
        InputError: a metric is not defined on these rows, for instance because they are all of one class.
    """
    values = {name: float(SCORES[name](truth, prediction)) for name in names}
    for name, value in values.items():
        if not np.isfinite(value):
            raise InputError(
                f"metric {name} is not defined on the {len(truth)} validation rows; validate on more rows, or choose "
                "another metric"
            )
    return values
