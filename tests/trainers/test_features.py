"""From a table to numbers, categories and a target; and the tables that it does not work for."""

from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from hpo_tasks.errors import InputError
from hpo_tasks.trial.trainers.features import encode, learn_schema
from hpo_tasks.trial.trainers.options import Options


def options(metric="rmse", **more):
    return Options.of({"target": "target", "metrics": [metric], **more})


def test_rows_without_a_target_are_left_out():
    table = pd.DataFrame({"a": [1, 2, 3], "target": [0.5, None, 1.5]})
    rows = encode(table, learn_schema(table, options()))
    assert rows.features["a"].tolist() == [1.0, 3.0]
    assert rows.target.tolist() == [0.5, 1.5]


def test_numbers_become_32_bit_and_decimals_and_nullable_types_are_numbers():
    table = pd.DataFrame(
        {
            "decimal": [Decimal("1.5"), Decimal("2.5")],
            "nullable": pd.array([1, None], dtype="Int64"),
            "whole": np.array([3, 4], dtype="int8"),
            "nothing": [None, None],
            "target": [0.0, 1.0],
        }
    )
    features = encode(table, learn_schema(table, options())).features
    assert {"float32"} == {str(kind) for kind in features.dtypes}
    np.testing.assert_array_equal(
        [[1.5, 1, 3, np.nan], [2.5, np.nan, 4, np.nan]], features.to_numpy().astype(float)
    )


def test_a_category_has_the_same_code_in_every_table_and_a_new_one_is_missing():
    table = pd.DataFrame({"color": ["red", "green", None], "target": [1, 2, 3]})
    other = pd.DataFrame({"color": ["green", "blue", "red"], "target": [1, 2, 3]})
    schema = learn_schema(table, options())
    assert encode(table, schema).features["color"].cat.codes.tolist() == [1, 0, -1]
    assert encode(other, schema).features["color"].cat.codes.tolist() == [0, -1, 1]


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["b", "a", None], ["a", "b"]),
        ([3, 1, 3], [1, 3]),
        ([True, False, True], [False, True]),
        (pd.Categorical(["y", "x", "y"], categories=["z", "y", "x"]), ["x", "y"]),
        (pd.array([2, None, 1], dtype="Int64"), [1, 2]),
    ],
)
def test_classes_of_every_kind_are_coded_in_sorted_order(values, classes):
    table = pd.DataFrame({"a": [1, 2, 3], "target": values})
    schema = learn_schema(table, options("accuracy"))
    assert classes == list(schema.classes)
    decoded = [schema.classes[code] for code in encode(table, schema).target]
    assert table["target"].dropna().tolist() == decoded


@pytest.mark.parametrize(
    ("columns", "metric", "more", "message"),
    [
        ({"a": [], "target": []}, "rmse", {}, "the table has no rows"),
        ({"a": [1, 2], "price": [1, 2]}, "rmse", {}, "no column 'target'; it has for instance 'a', 'price'"),
        ({"a": [1], "targets": [1]}, "rmse", {}, "no column 'target'; it has for instance 'targets'"),
        ({"a": [1, 2], "target": [1, 2]}, "rmse", {"drop": ["b"]}, "no column 'b'"),
        ({"a": [1, 2], "target": [1, 2]}, "rmse", {"drop": ["a"]}, "no column beside target 'target'"),
        ({"a": [1, 2], "target": [None, None]}, "rmse", {}, "'target' is missing in every row"),
        ({"a": [1, 2], "target": [np.nan, np.nan]}, "accuracy", {}, "'target' is missing in every row"),
        ({"a": [1, 2], "target": ["x", "x"]}, "accuracy", {}, "a single class, 'x'"),
        ({"a": [1, 2], "target": ["x", "y"]}, "rmse", {}, "holds 'x', not numbers"),
        ({"a": [1, 2], "target": [1.0, np.inf]}, "rmse", {}, "'target' holds infinite values"),
        ({"a": [1, np.inf], "target": [1, 2]}, "rmse", {}, "'a' holds infinite values"),
        ({"a": [1, 1e39], "target": [1, 2]}, "rmse", {}, "'a' holds infinite values, or beyond"),
        ({"a": [date(2026, 1, 1)] * 2, "target": [1, 2]}, "rmse", {}, "'a' holds values of kind date"),
        (
            {"a": pd.to_datetime(["2026-01-01"] * 2), "target": [1, 2]},
            "rmse",
            {},
            "'a' holds values of kind datetime",
        ),
        ({"a": [[1], [2]], "target": [1, 2]}, "rmse", {}, "'a' holds values of kind mixed"),
        (
            {"a": [1, 2], "target": [date(2026, 1, 1)] * 2},
            "accuracy",
            {},
            "'target' holds values of kind date",
        ),
    ],
)
def test_what_is_wrong_with_a_table_is_one_sentence(columns, metric, more, message):
    table = pd.DataFrame(columns)
    with pytest.raises(InputError, match=message) as caught:
        encode(table, learn_schema(table, options(metric, **more)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": [1.0, 2.0], "target": ["x", "y"]}, "no column 'b'"),
        (
            {"a": ["1", "zwei"], "b": ["u", "v"], "target": ["x", "y"]},
            "'a' must hold numbers as in the training table",
        ),
        ({"a": [1.0, 2.0], "b": ["u", "v"], "target": ["x", "z"]}, "class 'z' is not in the training table"),
    ],
)
def test_a_validation_table_that_does_not_fit_the_training_table(columns, message):
    table = pd.DataFrame({"a": [1.0, 2.0], "b": ["u", "v"], "target": ["x", "y"]})
    schema = learn_schema(table, options("accuracy"))
    with pytest.raises(InputError, match=message):
        encode(pd.DataFrame(columns), schema)
