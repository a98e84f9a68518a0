"""Options, metrics and parameters of the built-in trainers; the tables here agree with what the trainers do."""

import pytest

from hpo_tasks.spec.trainer_options import METRICS
from hpo_tasks.spec.trainer_parameters import KNOWN, TAKEN, TRAIN_SAMPLES


def trained(trainer="xgboost", *, options=None, inputs=None, metric="rmse", direction="minimize", **changes):
    """A study with a trainer, in pieces that a test may replace."""
    return {
        "objective": {"metric": metric, "direction": direction},
        "search": {"max_depth": {"type": "int", "low": 2, "high": 9}},
        "trial": {
            "trainer": trainer,
            "options": {"target": "y", **(options or {})},
            "inputs": {"train": "t.csv"} if inputs is None else inputs,
        },
        **changes,
    }


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"trainer": "random_forest", "metric": "accuracy", "direction": "maximize"},
        {"options": {"task": "regression", "validation": {"holdout": 0.3}, "categorical": "auto"}},
        {
            "options": {
                "validation": {"folds": 5},
                "drop": ["id"],
                "n_estimators": 50,
                "early_stopping_rounds": 5,
            }
        },
        {"inputs": {"train": "t.csv", "valid": "v.csv"}},
        {"inputs": {"train": "sklearn:diabetes"}, "options": {"target": "target"}},
        {"thresholds": {"mae": {"max": 3}, "r2": {"min": 0}}},
        {
            "objective": [
                {"metric": "rmse", "direction": "minimize"},
                {"metric": "mae", "direction": "minimize"},
            ]
        },
        {"search": {TRAIN_SAMPLES: {"type": "int", "low": 2, "high": 80_000}}},
        {"search": {TRAIN_SAMPLES: {"type": "categorical", "choices": [100, 1000]}}},
        {
            "search": {
                "eta": {"type": "float", "low": 0.1, "high": 1},
                "lambda": {"type": "float", "low": 0, "high": 1},
            }
        },
    ],
)
def test_good_trainers(changes, problems):
    assert problems(**trained(**changes)) == []


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({"direction": "maximize"}, ["objective.direction: must be minimize for rmse, got maximize"]),
        (
            {"metric": "accuracy"},
            ["objective.direction: must be maximize for accuracy, got minimize"],
        ),
        (
            {"metric": "rsme"},
            [
                ("objective.metric: a trainer computes rmse, mae, mape, r2, accuracy, balanced_accuracy, f1, roc_auc, "
                'log_loss, got "rsme", did you mean `rmse`?')
            ],
        ),
        (
            {"objective": [{"metric": "rmse", "direction": "minimize"}, {"metric": "f1", "direction": "maximize"}]},
            ["objective: mixes metrics of regression and classification: a model is one or the other"],
        ),
        ({"thresholds": {"latency": {"max": 1}}}, ["thresholds.latency: unknown metric of a trainer; known: " + ", ".join(METRICS)]),
        ({"thresholds": {"f1": {"min": 1}}}, ["thresholds.f1: is a metric of classification, the objective one of regression"]),
        ({"inputs": {}}, ["trial.inputs.train: missing: the table to train on, e.g. train.parquet"]),
        ({"inputs": {"train": "t.csv", "test": "t.csv"}}, ["trial.inputs.test: a trainer reads train, valid only"]),
        (
            {"inputs": {"train": "sklearn:iris"}},
            [
                "trial.inputs.train: sklearn:iris is for classification, the objective's metric for regression",
                'trial.options.target: must be target for scikit-learn\'s data sets, got "y"',
            ],
        ),
        ({"options": {"target": 3}}, ["trial.options.target: must be the name of a column, got 3"]),
        ({"options": {"traget": "y"}}, ["trial.options.traget: unknown option of xgboost, did you mean `target`?"]),
        (
            {"trainer": "random_forest", "options": {"early_stopping_rounds": 5}},
            [("trial.options.early_stopping_rounds: unknown option of random_forest; known: target, task, validation, "
             "categorical, drop, n_estimators")],
        ),
        ({"options": {"task": "classification"}}, ["trial.options.task: must be regression, which the objective's metric is for, got classification"]),
        ({"options": {"task": "ranking"}}, ['trial.options.task: must be one of regression, classification, got "ranking"']),
        ({"options": {"validation": 0.2}}, ["trial.options.validation: must be {holdout: 0.2} or {folds: 5}, got 0.2"]),
        ({"options": {"validation": {"holdout": 1}}}, ["trial.options.validation: holdout must be a share between 0 and 1, got 1"]),
        ({"options": {"validation": {"folds": 1}}}, ["trial.options.validation: folds must be between 2 and 50, got 1"]),
        (
            {"options": {"validation": {"folds": 2}}, "inputs": {"train": "t", "valid": "v"}},
            ["trial.options.validation: cannot be used with the input `valid`: rows come from one of them"],
        ),
        ({"options": {"categorical": ["a"]}}, ["trial.options.categorical: must be auto, got a list"]),
        ({"options": {"drop": "id"}}, ['trial.options.drop: must be a list of columns, got "id"']),
        ({"options": {"drop": ["y"]}}, ['trial.options.drop: names the target "y"']),
        ({"options": {"n_estimators": 0}}, ["trial.options.n_estimators: must be between 1 and 100000, got 0"]),
        (
            {"search": {"learning_rte": {"type": "float", "low": 0.1, "high": 1}}},
            ["search.learning_rte: xgboost has no parameter of this name, did you mean `learning_rate`?"],
        ),
        ({"search": {"n_jobs": {"type": "int", "low": 1, "high": 2}}}, ["search.n_jobs: is set by the trainer: use trial.resources.threads"]),
        (
            {"search": {"n_estimators": {"type": "int", "low": 1, "high": 2}}, "options": {"n_estimators": 5}},
            ["trial.options.n_estimators: is a search parameter too: keep one of them"],
        ),
        (
            {"search": {TRAIN_SAMPLES: {"type": "float", "low": 5, "high": 9}}},
            ["search.train_samples.type: must be int: it is the number of training rows, got float"],
        ),
        (
            {"search": {TRAIN_SAMPLES: {"type": "int", "low": 1, "high": 9}}},
            ["search.train_samples.low: must be at least 2: it is the number of training rows, got 1"],
        ),
        (
            {"search": {TRAIN_SAMPLES: {"type": "categorical", "choices": [100, "all"]}}},
            ['search.train_samples: is the number of training rows, got "all"'],
        ),
    ],
)  # fmt: skip
def test_wrong_trainers_give_exactly_these_lines(changes, lines, problems):
    assert problems(**trained(**changes)) == lines


def test_a_trainer_takes_nothing_that_is_for_other_programs(problems):
    trial = {
        "trainer": "xgboost", "options": {}, "inputs": {"train": "t"}, "code": {"dir": "x"}, "model_dir": "m",
        "metrics": [{"name": "rmse", "regex": "(a)"}],
    }  # fmt: skip

    assert problems(**trained(trial=trial)) == [
        "trial.metrics: read the output of a command: a trainer reports its metrics itself",
        "trial.code: a trainer needs no code of yours",
        "trial.model_dir: a trainer keeps its model by itself",
        "trial.options.target: missing: the column to predict",
    ]


def test_metrics_and_directions_are_those_that_the_trainers_compute():
    from hpo_tasks.trial.trainers.options import (
        CLASSIFICATION_METRICS,
        GREATER_IS_BETTER,
        REGRESSION_METRICS,
    )
    from hpo_tasks.trial.trainers.scores import SCORES

    def named(task):
        return {name for name, (of, _) in METRICS.items() if of == task}

    assert METRICS.keys() == SCORES.keys()
    assert (named("regression"), named("classification")) == (REGRESSION_METRICS, CLASSIFICATION_METRICS)
    assert {name for name, (_, better) in METRICS.items() if better == "maximize"} == GREATER_IS_BETTER


def test_parameter_names_are_those_of_the_libraries():
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from xgboost import XGBClassifier, XGBRegressor

    from hpo_tasks.trial.trainers import random_forest_trainer, xgboost_trainer

    boosted = {*XGBRegressor().get_params(), *XGBClassifier().get_params(), *xgboost_trainer.NATIVE_PARAMS}
    forest = {*RandomForestRegressor().get_params(), *RandomForestClassifier().get_params()}

    assert set(KNOWN["xgboost"]) == boosted - xgboost_trainer.TAKEN.keys()
    assert set(KNOWN["random_forest"]) == forest - random_forest_trainer.TAKEN.keys()
    assert set(TAKEN) == {*xgboost_trainer.TAKEN, *random_forest_trainer.TAKEN}
