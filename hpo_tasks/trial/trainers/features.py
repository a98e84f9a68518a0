"""From a table to what a tree model takes: 32-bit numbers, categories with fixed codes, and a target."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hpo_tasks.errors import InputError
from hpo_tasks.trial.trainers.options import Options, Task

_NUMBER = frozenset({"integer", "floating", "mixed-integer-float", "decimal", "empty"})
_CATEGORY = frozenset({"string", "boolean", "categorical"})
"""Kinds of columns, as `pandas.api.types.infer_dtype` calls them. `empty`: nothing but missing values."""


@dataclass(frozen=True, slots=True)
class Schema:
    """What a prediction has to repeat; kept beside the model.

    Attributes:
        target: name of the column that is predicted.
        task: kind of target.
        features: columns, in the model's order.
        categories: values of each categorical feature as text, in the order of their codes. Others count as missing.
        classes: values of the target in the order of their codes; empty for regression.
    """

    target: str
    task: Task
    features: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]
    classes: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """Part of a table, ready for a model.

    Attributes:
        features: (n, features); float32, NaN where missing, or pandas' categorical type.
        target: (n,); float64, or the class's code for classification.
    """

    features: pd.DataFrame
    target: np.ndarray

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows: np.ndarray) -> "Rows":
        return Rows(self.features.iloc[rows], self.target[rows])


def learn_schema(table: pd.DataFrame, options: Options) -> Schema:
    """Fix features, categories and classes from the training table.

    Raises:
        InputError: no rows, no usable target, a single class, or a column that is neither number nor category.
    """
    for column in (options.target, *options.drop):
        _require(column, table.columns)
    target = _known_target(table, options.target)
    features = tuple(name for name in table.columns if name not in {options.target, *options.drop})
    if not features:
        raise InputError(f"the table has no column beside target {options.target!r} and those to drop")
    kinds = {name: _kind(table[name]) for name in features}
    refused = [name for name, kind in kinds.items() if kind not in _NUMBER | _CATEGORY]
    if refused:
        raise InputError(
            f"column {refused[0]!r} holds values of kind {kinds[refused[0]]}; "
            "turn them into numbers or text, or list the column in trial.options.drop"
        )
    return Schema(
        target=options.target,
        task=options.task,
        features=features,
        categories={name: _values(table[name]) for name in features if kinds[name] in _CATEGORY},
        classes=_classes(target) if options.task == "classification" else (),
    )


def encode(table: pd.DataFrame, schema: Schema) -> Rows:
    """Apply a schema to a table; rows without a target are left out.

    Raises:
        InputError: a column is missing, or holds what the schema does not allow.
    """
    for column in (*schema.features, schema.target):
        _require(column, table.columns)
    target = _known_target(table, schema.target)
    kept = table.loc[target.index]
    columns = {
        name: _coded(kept[name], schema.categories[name])
        if name in schema.categories
        else _numbers(kept[name])
        for name in schema.features
    }
    return Rows(pd.DataFrame(columns), _encode_target(target, schema))


def _require(column: str, columns: Iterable[str]) -> None:
    names = list(columns)
    if column not in names:
        close = difflib.get_close_matches(column, names, n=3) or names[:10]
        raise InputError(
            f"the table has no column {column!r}; it has for instance {', '.join(map(repr, close))}"
        )


def _known_target(table: pd.DataFrame, target: str) -> pd.Series:
    if table.empty:
        raise InputError("the table has no rows")
    known = table[target].dropna()
    if known.empty:
        raise InputError(f"target {target!r} is missing in every row")
    return known


def _kind(column: pd.Series) -> str:
    return str(pd.api.types.infer_dtype(column, skipna=True))


def _text(column: pd.Series) -> pd.Series:
    """Values as text, missing ones kept as such."""
    return column.astype("object").astype("str")


def _values(column: pd.Series) -> tuple[str, ...]:
    return tuple(sorted(_text(column).dropna().unique().tolist()))


def _coded(column: pd.Series, values: tuple[str, ...]) -> pd.Categorical:
    codes = pd.Index(values, dtype="str").get_indexer(_text(column))
    return pd.Categorical.from_codes(codes, categories=list(values))


def _numbers(column: pd.Series) -> np.ndarray:
    kind = _kind(column)
    if kind not in _NUMBER:
        raise InputError(f"column {column.name!r} must hold numbers as in the training table, got {kind}")
    with np.errstate(over="ignore"):
        numbers: np.ndarray = column.to_numpy(dtype="float32", na_value=np.nan)
    if np.isinf(numbers).any():
        raise InputError(
            f"column {column.name!r} holds infinite values, or beyond ±3.4e38; make them missing, or drop the column"
        )
    return numbers


def _classes(target: pd.Series) -> tuple[Any, ...]:
    if _kind(target) not in (_NUMBER | _CATEGORY) - {"empty"}:
        raise InputError(f"target {target.name!r} holds values of kind {_kind(target)}; give numbers or text")
    classes = np.unique(target.astype("object").to_numpy())
    if len(classes) == 1:
        raise InputError(
            f"target {target.name!r} has a single class, {classes[0]!r}; there is nothing to learn"
        )
    return tuple(value.item() if isinstance(value, np.generic) else value for value in classes)


def _encode_target(target: pd.Series, schema: Schema) -> np.ndarray:
    if schema.task == "classification":
        codes: np.ndarray = pd.Index(schema.classes).get_indexer(target.astype("object"))
        if (codes < 0).any():
            unknown = target.iloc[int(np.argmax(codes < 0))]
            raise InputError(f"target {schema.target!r}: class {unknown!r} is not in the training table")
        return codes
    if _kind(target) not in _NUMBER:
        raise InputError(
            f"target {schema.target!r} holds {target.iloc[0]!r}, not numbers; for classes choose a metric such as log_loss"
        )
    numbers: np.ndarray = target.to_numpy(dtype="float64")
    if np.isinf(numbers).any():
        raise InputError(f"target {schema.target!r} holds infinite values; remove those rows")
    return numbers
