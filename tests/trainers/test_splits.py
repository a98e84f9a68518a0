"""Splits and samples: the same for every trial, and enough of each class."""

import numpy as np
import pandas as pd
import pytest

from hpo_tasks.errors import InputError
from hpo_tasks.trial.trainers.features import Rows, Schema
from hpo_tasks.trial.trainers.options import Options
from hpo_tasks.trial.trainers.splits import make_splits, subsample

NUMBERS = Schema("target", "regression", ("a",), {}, ())
CLASSES = Schema("target", "classification", ("a",), {}, ("x", "y", "z"))


def rows_of(target):
    return Rows(pd.DataFrame({"a": np.arange(len(target))}), np.asarray(target))


def options(metric="rmse", **more):
    return Options.of({"target": "target", "metrics": [metric], **more})


@pytest.mark.parametrize("validation", [{"holdout": 0.2}, {"folds": 5}], ids=["holdout", "folds"])
@pytest.mark.parametrize("schema", [NUMBERS, CLASSES], ids=["regression", "classification"])
def test_splits_are_disjoint_complete_and_the_same_each_time(validation, schema):
    rows = rows_of(np.arange(100) % 3)
    once, again = (make_splits(rows, schema, options(validation=validation)) for _ in range(2))

    assert len(once) == validation.get("folds", 1)
    for (train, valid), (train_again, valid_again) in zip(once, again, strict=True):
        assert list(range(100)) == sorted([*train, *valid])
        assert len(valid) == 20
        np.testing.assert_array_equal(train, train_again)
        np.testing.assert_array_equal(valid, valid_again)


def test_another_split_seed_gives_another_split():
    rows = rows_of(np.arange(100))
    [(_, one)], [(_, two)] = (make_splits(rows, NUMBERS, options(split_seed=seed)) for seed in (1, 2))
    assert set(one) != set(two)


@pytest.mark.parametrize("validation", [{"holdout": 0.2}, {"folds": 5}], ids=["holdout", "folds"])
def test_classes_have_their_share_on_both_sides(validation):
    rows = rows_of([0] * 70 + [1] * 20 + [2] * 10)
    for train, valid in make_splits(rows, CLASSES, options("accuracy", validation=validation)):
        assert np.bincount(rows.target[train]).tolist() == [56, 16, 8]
        assert np.bincount(rows.target[valid]).tolist() == [14, 4, 2]


def test_a_larger_sample_contains_the_smaller_one():
    rows = rows_of(np.arange(100) % 3)
    [(train, _)] = make_splits(rows, CLASSES, options("accuracy"))
    small, large = (subsample(train, rows, CLASSES, size) for size in (10, 30))
    assert (len(set(small)), len(set(large))) == (10, 30)
    assert set(small) < set(large) < set(train)


def test_a_sample_keeps_a_row_of_the_rarest_class():
    rows = rows_of([0] * 500 + [1] * 490 + [2] * 10)
    [(train, _)] = make_splits(rows, CLASSES, options("accuracy"))
    assert {0, 1, 2} == set(rows.target[subsample(train, rows, CLASSES, 3)])
    with pytest.raises(InputError, match="2 rows are fewer than the 3 classes"):
        subsample(train, rows, CLASSES, 2)


@pytest.mark.parametrize("size", [None, 80, 81, 10_000])
def test_more_rows_than_there_are_means_all(size):
    rows = rows_of(np.arange(100))
    [(train, _)] = make_splits(rows, NUMBERS, options())
    assert train.tolist() == subsample(train, rows, NUMBERS, size).tolist()


@pytest.mark.parametrize(
    ("target", "schema", "validation", "message"),
    [
        ([1.0], NUMBERS, {"holdout": 0.2}, "1 rows with a target; this validation needs 2"),
        ([1.0] * 4, NUMBERS, {"folds": 5}, "4 rows with a target; this validation needs 5"),
        ([0] * 9 + [1] * 9 + [2], CLASSES, {"holdout": 0.2}, "class 'z' has 1 rows, this validation needs 2"),
        ([0] * 9 + [1] * 9 + [2] * 4, CLASSES, {"folds": 5}, "class 'z' has 4 rows, this validation needs 5"),
        ([0, 1, 2] * 3, CLASSES, {"holdout": 0.2}, "fewer rows than the 3 classes on one side"),
    ],
)
def test_too_few_rows_is_one_sentence(target, schema, validation, message):
    with pytest.raises(InputError, match=message):
        make_splits(rows_of(target), schema, options(validation=validation))
