"""Which rows train and which rows judge. The same for all trials of a study."""

import numpy as np

from hpo_tasks.errors import InputError
from hpo_tasks.trial.trainers.features import Rows, Schema
from hpo_tasks.trial.trainers.options import Options

Split = tuple[np.ndarray, np.ndarray]
"""Positions of the training rows, in random order, and of the validation rows."""


def make_splits(rows: Rows, schema: Schema, options: Options) -> list[Split]:
    """One split for a holdout, one per fold else; stratified for classification.

    Raises:
        InputError: too few rows, or too few of a class, for this validation.
    """
    from sklearn.model_selection import KFold, StratifiedKFold, train_test_split  # noqa: PLC0415 - slow

    _check_size(rows, schema, options)
    classes = rows.target if schema.task == "classification" else None
    everything = np.arange(len(rows))
    if options.folds is None:
        train, valid = train_test_split(
            everything, test_size=options.holdout, stratify=classes, random_state=options.split_seed
        )
        return [(train, valid)]
    fold = StratifiedKFold if schema.task == "classification" else KFold
    folds = fold(options.folds, shuffle=True, random_state=options.split_seed)
    shuffle = np.random.default_rng(options.split_seed)
    return [(shuffle.permutation(train), valid) for train, valid in folds.split(everything, classes)]


def all_rows(rows: Rows, options: Options) -> np.ndarray:
    """Positions of all rows, in the study's random order."""
    return np.random.default_rng(options.split_seed).permutation(len(rows))


def subsample(train: np.ndarray, rows: Rows, schema: Schema, size: int | None) -> np.ndarray:
    """The first `size` of the training rows; a larger sample contains every smaller one.

    At least one row of each class is kept. All rows if `size` is None or more than there are.

    Raises:
        InputError: fewer rows than classes.
    """
    if size is None or size >= len(train):
        return train
    if schema.task == "regression":
        return train[:size]
    if size < len(schema.classes):
        raise InputError(f"train_samples: {size} rows are fewer than the {len(schema.classes)} classes")
    _, first_of_class = np.unique(rows.target[train], return_index=True)
    return np.concatenate([train[first_of_class], np.delete(train, first_of_class)])[:size]


def _check_size(rows: Rows, schema: Schema, options: Options) -> None:
    need = options.folds or 2
    if len(rows) < need:
        raise InputError(f"the table has {len(rows)} rows with a target; this validation needs {need}")
    if schema.task == "regression":
        return
    counts = np.bincount(rows.target, minlength=len(schema.classes))
    if counts.min() < need:
        rare = schema.classes[int(counts.argmin())]
        raise InputError(
            f"target {schema.target!r}: class {rare!r} has {counts.min()} rows, this validation needs {need}; "
            "merge rare classes, or choose a metric such as rmse if the target is a number"
        )
    if options.folds is None:
        valid = int(np.ceil(options.holdout * len(rows)))
        if min(valid, len(rows) - valid) < len(schema.classes):
            raise InputError(
                f"trial.options.validation.holdout: {options.holdout} of {len(rows)} rows leaves fewer rows than the "
                f"{len(schema.classes)} classes on one side"
            )
