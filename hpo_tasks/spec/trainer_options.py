"""Options and metrics of the built-in trainers: what they are, checked before anything runs."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from hpo_tasks.errors import Problem
from hpo_tasks.spec.model import StudySpec
from hpo_tasks.spec.sentences import did_you_mean, listed, nearest, shown

Task = Literal["regression", "classification"]

METRICS: Mapping[str, tuple[Task, Literal["minimize", "maximize"]]] = {
    "rmse": ("regression", "minimize"),
    "mae": ("regression", "minimize"),
    "mape": ("regression", "minimize"),
    "r2": ("regression", "maximize"),
    "accuracy": ("classification", "maximize"),
    "balanced_accuracy": ("classification", "maximize"),
    "f1": ("classification", "maximize"),
    "roc_auc": ("classification", "maximize"),
    "log_loss": ("classification", "minimize"),
}
"""Metrics that the trainers compute: name → task and the direction that makes a model better."""

_BUNDLED_TASKS: Mapping[str, Task] = {
    "iris": "classification",
    "wine": "classification",
    "breast_cancer": "classification",
    "digits": "classification",
    "diabetes": "regression",
}
_BUNDLED_TARGET = "target"

_OPTIONS = ("target", "task", "validation", "categorical", "drop", "n_estimators")
_XGBOOST_OPTIONS = ("early_stopping_rounds",)


def trainer_problems(spec: StudySpec) -> Iterator[Problem]:
    """Everything about a trainer: metrics, options, and the search parameters that it reads itself."""
    if spec.trial.trainer is None:
        return
    tasks = {METRICS[objective.metric][0] for objective in spec.objective if objective.metric in METRICS}
    yield from _metric_problems(spec, tasks)
    yield from _option_problems(spec)
    yield from _task_problems(spec, tasks)


def _metric_problems(spec: StudySpec, tasks: set[Task]) -> Iterator[Problem]:
    for index, objective in enumerate(spec.objective):
        field = "objective" if len(spec.objective) == 1 else f"objective[{index}]"
        better = METRICS[objective.metric][1] if objective.metric in METRICS else None
        if better is None:
            near = nearest(objective.metric, METRICS)
            hint = f", did you mean `{near}`?" if near else ""
            yield Problem(
                f"{field}.metric",
                f"a trainer computes {listed(METRICS)}, got {shown(objective.metric)}{hint}",
            )
        elif objective.direction != better:
            yield Problem(
                f"{field}.direction", f"must be {better} for {objective.metric}, got {objective.direction}"
            )
    if len(tasks) > 1:
        yield Problem(
            "objective", "mixes metrics of regression and classification: a model is one or the other"
        )
    for name in spec.thresholds:
        if name not in METRICS:
            yield Problem(f"thresholds.{name}", f"unknown metric of a trainer{did_you_mean(name, METRICS)}")
        elif len(tasks) == 1 and METRICS[name][0] not in tasks:
            yield Problem(
                f"thresholds.{name}",
                f"is a metric of {METRICS[name][0]}, the objective one of {next(iter(tasks))}",
            )


def _option_problems(spec: StudySpec) -> Iterator[Problem]:
    options = spec.trial.options
    known = _OPTIONS + (_XGBOOST_OPTIONS if spec.trial.trainer == "xgboost" else ())
    if "target" not in options:
        yield Problem("trial.options.target", "missing: the column to predict")
    for name, value in options.items():
        field = f"trial.options.{name}"
        if name not in known:
            yield Problem(field, f"unknown option of {spec.trial.trainer}{did_you_mean(name, known)}")
        elif message := _option_misfit(name, value):
            yield Problem(field, message)
    if "validation" in options and "valid" in spec.trial.inputs:
        yield Problem(
            "trial.options.validation", "cannot be used with the input `valid`: rows come from one of them"
        )
    drop = options.get("drop")
    if isinstance(drop, list | tuple) and options.get("target") in drop:
        yield Problem("trial.options.drop", f"names the target {shown(options['target'])}")


def _option_misfit(name: str, value: Any) -> str:
    match name:
        case "target":
            return (
                ""
                if isinstance(value, str) and value
                else f"must be the name of a column, got {shown(value)}"
            )
        case "task":
            return "" if value in ("regression", "classification") else (
                f"must be one of regression, classification, got {shown(value)}"
            )  # fmt: skip
        case "validation":
            return _validation_misfit(value)
        case "categorical":
            return "" if value == "auto" else f"must be auto, got {shown(value)}"
        case "drop":
            columns = isinstance(value, list | tuple) and all(isinstance(column, str) for column in value)
            return "" if columns else f"must be a list of columns, got {shown(value)}"
        case _:
            return _count_misfit(value, most=100_000)


def _validation_misfit(value: Any) -> str:
    if not isinstance(value, Mapping) or len(value) != 1 or not value.keys() <= {"holdout", "folds"}:
        return f"must be {{holdout: 0.2}} or {{folds: 5}}, got {shown(value)}"
    if "folds" in value:
        message = _count_misfit(value["folds"], least=2, most=50)
        return f"folds {message}" if message else ""
    share = value["holdout"]
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
        return f"holdout must be a share between 0 and 1, got {shown(share)}"
    return ""


def _count_misfit(value: Any, *, most: int, least: int = 1) -> str:
    if isinstance(value, bool) or not isinstance(value, int):
        return f"must be a whole number, got {shown(value)}"
    return "" if least <= value <= most else f"must be between {least} and {most}, got {value}"


def _task_problems(spec: StudySpec, tasks: set[Task]) -> Iterator[Problem]:
    task = next(iter(tasks)) if len(tasks) == 1 else None
    asked = spec.trial.options.get("task")
    if task and asked in ("regression", "classification") and asked != task:
        yield Problem(
            "trial.options.task", f"must be {task}, which the objective's metric is for, got {asked}"
        )
    for name in ("train", "valid"):
        uri = spec.trial.inputs.get(name, "")
        bundled = uri.removeprefix("sklearn:") if uri.startswith("sklearn:") else ""
        if task and _BUNDLED_TASKS.get(bundled, task) != task:
            yield Problem(
                f"trial.inputs.{name}",
                f"{uri} is for {_BUNDLED_TASKS[bundled]}, the objective's metric for {task}",
            )
    target = spec.trial.options.get("target", _BUNDLED_TARGET)
    if spec.trial.inputs.get("train", "").startswith("sklearn:") and target != _BUNDLED_TARGET:
        yield Problem(
            "trial.options.target",
            f"must be {_BUNDLED_TARGET} for scikit-learn's data sets, got {shown(target)}",
        )
