"""The search space as a tree: the order of its parameters, which of them are active, what lies inside.

A parameter with `when` is active only while its condition holds. Conditions look at categorical, int and fixed
parameters: equality of computed floats is a trap.
"""

from collections.abc import Mapping
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

from hpo_tasks.errors import Problem
from hpo_tasks.spec.constraint import compile_constraint
from hpo_tasks.spec.model import (
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Scalar,
    UnreadParameter,
    same,
)
from hpo_tasks.spec.sentences import did_you_mean, number, one_line, shown

if TYPE_CHECKING:
    from hpo_tasks.spec.model import StudySpec

AnyParameter = FloatParameter | IntParameter | CategoricalParameter | FixedParameter
Search = Mapping[str, AnyParameter]


def search_order(search: Search) -> list[str]:
    """Names of all parameters, parents before children, level by level and by name within a level.

    The order in the file plays no part: a spec that went through sorted JSON must sample the same.

    Raises:
        graphlib.CycleError: the conditions form a cycle (a validated spec has none).
    """
    sorter = TopologicalSorter({name: list(parameter.when or {}) for name, parameter in search.items()})
    sorter.prepare()
    order: list[str] = []
    while sorter.is_active():
        level = sorted(sorter.get_ready())
        order += level
        sorter.done(*level)
    return order


def is_active(parameter: AnyParameter, values: Mapping[str, Scalar]) -> bool:
    """Whether the parameter's own condition holds.

    Args:
        parameter: the parameter.
        values: values of the *active* parameters that come before it in `search_order`, fixed ones included.
    """
    return all(
        key in values and any(same(values[key], wanted) for wanted in wanted_values(condition))
        for key, condition in (parameter.when or {}).items()
    )


def active(search: Search, params: Mapping[str, Scalar]) -> list[str]:
    """Names of the parameters that are active given `params`, in `search_order`.

    Args:
        search: the search space.
        params: values by name, perhaps not all; a fixed parameter's value is known without it. A parameter whose
            parent has no value is not active.
    """
    values: dict[str, Scalar] = {}
    found: list[str] = []
    for name in search_order(search):
        parameter = search[name]
        if not is_active(parameter, values):
            continue
        found.append(name)
        if isinstance(parameter, FixedParameter):
            values[name] = parameter.value
        elif name in params:
            values[name] = params[name]
    return found


def wanted_values(condition: Scalar | list[Scalar]) -> list[Scalar]:
    """The values that a condition accepts: `when: {booster: dart}` one, `when: {booster: [dart, gbtree]}` two."""
    return condition if isinstance(condition, list) else [condition]


def misfit(parameter: AnyParameter | UnreadParameter, value: Scalar) -> str:
    """Why the value is not one that the parameter can take, as a sentence; "" if it is."""
    match parameter:
        case FloatParameter() if isinstance(value, bool) or not isinstance(value, int | float):
            return f"must be a number, got {shown(value)}"
        case IntParameter() if isinstance(value, bool) or not isinstance(value, int):
            return f"must be a whole number, got {shown(value)}"
        case FloatParameter() | IntParameter():
            return _out_of_range(parameter, value)  # type: ignore[arg-type] # the two cases above
        case CategoricalParameter(choices=choices):
            return "" if any(same(value, choice) for choice in choices) else _not_a_choice(choices, value)
        case FixedParameter(value=fixed):
            return "" if same(value, fixed) else f"is fixed to {shown(fixed)}, got {shown(value)}"
    return ""


def _out_of_range(parameter: FloatParameter | IntParameter, value: float) -> str:
    low, high, step = parameter.low, parameter.high, parameter.step
    if not low <= value <= high:
        return f"must be between {number(low)} and {number(high)}, got {number(value)}"
    if isinstance(parameter, IntParameter):
        on_step = (value - low) % parameter.step == 0
    else:
        steps = (value - low) / step if step else 0.0
        on_step = abs(steps - round(steps)) < 1e-8
    return (
        ""
        if on_step
        else f"must be {number(low)} plus a multiple of {number(step or 1)}, got {number(value)}"
    )


def _not_a_choice(choices: tuple[Scalar, ...], value: Scalar) -> str:
    listing = ", ".join(shown(choice) for choice in choices[:10]) + (", …" if len(choices) > 10 else "")
    return f"must be one of {listing}; got {shown(value)}"


def check_point(spec: "StudySpec", params: Mapping[str, Scalar]) -> list[Problem]:
    """What keeps a configuration from being tried: names, types, bounds, inactive parameters, constraints.

    Args:
        spec: the study.
        params: the configuration; it may be partial. A parameter with a condition needs its parents beside it.

    Returns: problems whose field is the parameter's name, "" for a violated constraint; empty if it can be tried.
    """
    search = spec.search
    problems = [
        Problem(one_line(name), f"unknown parameter{did_you_mean(name, search)}")
        for name in params
        if name not in search
    ]
    known = {name: value for name, value in params.items() if name in search}
    reachable = set(active(search, known))
    for name, value in known.items():
        if message := misfit(search[name], value):
            problems.append(Problem(name, message))
        elif name not in reachable:
            problems.append(Problem(name, f"is not active here: {condition_text(search[name])}"))
    return problems or _violated(spec, known)


def _violated(spec: "StudySpec", params: Mapping[str, Scalar]) -> list[Problem]:
    fixed = {
        name: parameter.value
        for name, parameter in spec.search.items()
        if isinstance(parameter, FixedParameter) and parameter.when is None
    }
    values = {**fixed, **params}
    return [
        Problem("", f"violates the constraint {text}")
        for text in spec.constraints
        if not _holds(text, values)
    ]


def _holds(text: str, values: Mapping[str, Scalar]) -> bool:
    return compile_constraint(text).holds(values)


def condition_text(parameter: AnyParameter) -> str:
    """The parameter's condition in words: `only when booster is "dart"`."""
    parts = []
    for key, condition in (parameter.when or {}).items():
        parts.append(f"{key} is {' or '.join(shown(value) for value in wanted_values(condition))}")
    return f"only when {' and '.join(parts)}"
