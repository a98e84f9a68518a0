"""Metrics against values worked out by hand, and where they are not defined."""

import numpy as np
import pytest

from hpo_tasks.errors import InputError
from hpo_tasks.spec.trainer_options import METRICS
from hpo_tasks.trial.trainers.options import CLASSIFICATION_METRICS, GREATER_IS_BETTER, REGRESSION_METRICS
from hpo_tasks.trial.trainers.scores import SCORES, score

TWO = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3]])
THREE = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.1, 0.8, 0.1]])


@pytest.mark.parametrize(
    ("name", "truth", "prediction", "value"),
    [
        ("rmse", [0.0, 2.0], [0.0, 0.0], 2**0.5),
        ("mae", [0.0, 2.0], [0.0, 0.0], 1.0),
        ("mape", [1.0, 2.0], [1.0, 1.0], 0.25),
        ("r2", [0.0, 2.0], [1.0, 1.0], 0.0),
        ("accuracy", [0, 1, 1, 1], TWO, 0.75),
        ("balanced_accuracy", [0, 1, 1, 1], TWO, (1 + 2 / 3) / 2),
        ("f1", [0, 1, 1, 1], TWO, 0.8),
        ("roc_auc", [0, 1, 1, 0], TWO, 1.0),
        ("log_loss", [0, 1, 1, 0], TWO, -np.log([0.9, 0.6, 0.8, 0.7]).mean()),
        ("accuracy", [0, 1, 2, 0], THREE, 0.75),
        ("f1", [0, 1, 2, 0], THREE, (2 / 3 + 2 / 3 + 1) / 3),
        ("log_loss", [0, 1, 2, 2], THREE, -np.log([0.8, 0.8, 0.8, 0.1]).mean()),
        ("roc_auc", [0, 1, 2, 1], THREE, 1.0),
    ],
)
def test_values(name, truth, prediction, value):
    assert score([name], np.array(truth), np.array(prediction)) == {name: pytest.approx(value)}


@pytest.mark.filterwarnings("ignore:Only one class is present")
def test_a_metric_that_is_not_defined_on_the_rows_says_so():
    with pytest.raises(InputError, match="roc_auc is not defined on the 4 validation rows"):
        score(["roc_auc"], np.zeros(4, dtype=int), TWO)


def test_the_validator_and_the_trainers_know_the_same_metrics():
    assert METRICS.keys() == SCORES.keys() == REGRESSION_METRICS | CLASSIFICATION_METRICS
    assert {name for name, (task, _) in METRICS.items() if task == "classification"} == CLASSIFICATION_METRICS
    assert {name for name, (_, direction) in METRICS.items() if direction == "maximize"} == GREATER_IS_BETTER
