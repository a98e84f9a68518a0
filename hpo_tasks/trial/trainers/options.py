"""`trial.options` of a built-in trainer, as the code here reads them. The study's validator has checked them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Task = Literal["regression", "classification"]

REGRESSION_METRICS = frozenset({"rmse", "mae", "r2", "mape"})
CLASSIFICATION_METRICS = frozenset({"log_loss", "roc_auc", "accuracy", "balanced_accuracy", "f1"})
GREATER_IS_BETTER = frozenset({"r2", "roc_auc", "accuracy", "balanced_accuracy", "f1"})


@dataclass(frozen=True, slots=True)
class Options:
    """What is the same for all trials of a study.

    Attributes:
        target: column to predict.
        task: kind of target; what the metrics are for, so that nobody has to say it twice.
        metrics: names of the metrics to compute; early stopping watches the first.
        holdout: share of the rows kept for validation; used unless `folds` is set or there is an input `valid`.
        folds: number of cross-validation folds, or None.
        split_seed: seed of split and subsample; not the trial's, so that trials are compared on the same rows.
        drop: columns that are no features.
        n_estimators: trees, where no parameter of that name is searched; None leaves the library's default.
        early_stopping_rounds: boosting rounds without improvement before training ends; None trains them all.
    """

    target: str
    task: Task
    metrics: tuple[str, ...]
    holdout: float = 0.2
    folds: int | None = None
    split_seed: int = 0
    drop: tuple[str, ...] = ()
    n_estimators: int | None = None
    early_stopping_rounds: int | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Options":
        metrics = tuple(options["metrics"])
        validation = options.get("validation") or {}
        return cls(
            target=options["target"],
            task="classification" if metrics[0] in CLASSIFICATION_METRICS else "regression",
            metrics=metrics,
            holdout=validation.get("holdout", 0.2),
            folds=validation.get("folds"),
            split_seed=options.get("split_seed", 0),
            drop=tuple(options.get("drop") or ()),
            n_estimators=options.get("n_estimators"),
            early_stopping_rounds=options.get("early_stopping_rounds"),
        )
