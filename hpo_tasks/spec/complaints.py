"""Pydantic's complaints in the user's words, for every kind of file that a person writes."""

import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from hpo_tasks.errors import Problem
from hpo_tasks.spec.limits import dotted
from hpo_tasks.spec.sentences import did_you_mean, listed, nearest, number, shown


def problems(error: ValidationError, root: type[BaseModel]) -> list[Problem]:
    """One problem for each complaint about a document that was to become a `root`."""
    found = []
    for complaint in worth_telling(error):
        path = complaint["loc"]
        if complaint["type"] == "missing":
            message = "missing"
        elif complaint["type"] == "extra_forbidden":
            message = f"unknown field{did_you_mean(str(path[-1]), keys(_model_at(root, path[:-1])))}"
        else:
            message = sentence(dict(complaint))
        found.append(Problem(dotted(path), message))
    return found


def worth_telling(error: ValidationError) -> list[ErrorDetails]:
    """All complaints but those that say nothing new.

    Pydantic counts only the good items of a list, so it calls one with bad items too short.
    """
    errors = error.errors(include_url=False)
    locations = [each["loc"] for each in errors]
    return [
        each
        for each in errors
        if each["type"] != "too_short"
        or not any(other[: len(each["loc"])] == each["loc"] != other for other in locations)
    ]


def sentence(error: Mapping[str, Any]) -> str:
    """What is wrong with one value: the rule and what was got.

    Args:
        error: of pydantic's `ValidationError.errors()`.
    """
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "literal_error":
        return _choice(context["expected"], value)
    if kind in ("too_short", "too_long"):
        return f"{_RULES[kind](context)}, got {len(value)}"
    if kind in _RULES:
        return f"{_RULES[kind](context)}, got {shown(value)}"
    if kind in _TYPES:
        return f"{_TYPES[kind]}, got {shown(value)}{_quotes(kind, value)}"
    return str(error["msg"])


def keys(cls: type[BaseModel] | None) -> list[str]:
    """The keys that a file may use for this model."""
    fields = cls.model_fields if cls is not None else {}
    return [field.alias or name for name, field in fields.items()]


def _model_at(root: type[BaseModel], path: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The model that describes what lies at `path`; None if that is no mapping of known keys."""
    annotation: Any = root
    for part in path:
        model = _model_in(annotation)
        if model is not None:
            by_key = {field.alias or name: field for name, field in model.model_fields.items()}
            annotation = by_key[str(part)].annotation if part in by_key else None
        else:
            annotation = _item(_plain(annotation))
    return _model_in(annotation)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    plain = _plain(annotation)
    return plain if isinstance(plain, type) and issubclass(plain, BaseModel) else None


def _plain(annotation: Any) -> Any:
    """The annotation without Annotated and None."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _plain(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        rest = [part for part in typing.get_args(annotation) if part is not types.NoneType]
        return _plain(rest[0]) if len(rest) == 1 else None
    return annotation


def _item(annotation: Any) -> Any:
    """X of `tuple[X, ...]` and of `dict[str, X]`; None of anything else."""
    arguments = typing.get_args(annotation)
    if not arguments:
        return None
    return arguments[0] if typing.get_origin(annotation) is tuple else arguments[-1]


_TYPES: Mapping[str, str] = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a whole number of at most 18 digits",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping (key: value)",
    "model_type": "must be a mapping (key: value)",
    "model_attributes_type": "must be a mapping (key: value)",
}
_RULES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than": lambda context: f"must be > {number(context['gt'])}",
    "greater_than_equal": lambda context: f"must be at least {number(context['ge'])}",
    "less_than": lambda context: f"must be < {number(context['lt'])}",
    "less_than_equal": lambda context: f"must be at most {number(context['le'])}",
    "too_short": lambda context: f"must hold at least {context['min_length']}",
    "too_long": lambda context: f"must hold at most {context['max_length']}",
}


def _quotes(kind: str, value: object) -> str:
    return " (put it in quotes)" if kind == "string_type" and isinstance(value, int | float) else ""


def _choice(expected: str, value: object) -> str:
    """`expected` is pydantic's list of the allowed words: 'a', 'b' or 'c'."""
    words = expected.replace("'", "").replace(" or ", ", ").split(", ")
    near = nearest(value, words) if isinstance(value, str) else None
    asked = f", did you mean `{near}`?" if near else ""
    return f"must be {'one of ' if len(words) > 1 else ''}{listed(words)}, got {shown(value)}{asked}"
