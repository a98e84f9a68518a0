"""The search space: names, bounds, choices, conditions."""

import math
import re
from collections.abc import Iterator
from graphlib import CycleError

from hpo_tasks.errors import Problem
from hpo_tasks.spec.constraint import WORDS
from hpo_tasks.spec.model import (
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Scalar,
    StudySpec,
    same,
)
from hpo_tasks.spec.search_space import AnyParameter, Search, misfit, search_order, wanted_values
from hpo_tasks.spec.sentences import did_you_mean, listed, number, shown

MAX_EXACT_INT = 2**53
"""Optuna stores numbers as floats: beyond this an integer comes back as another one."""

MAX_STEPS = 10**9
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def name_problems(spec: StudySpec) -> Iterator[Problem]:
    """Parameter names: usable as argv placeholders, in constraints and as names of environment variables."""
    seen: dict[str, str] = {}
    for name in spec.search:
        if not _NAME.fullmatch(name):
            yield Problem(
                f"search.{name[:80]}",
                "a name must be letters, digits and _ (at most 64), not begin with a digit",
            )
        elif name in WORDS:
            yield Problem(f"search.{name}", "is a value in constraints, not a name: use another one")
        elif (other := seen.setdefault(name.upper(), name)) != name:
            yield Problem(
                f"search.{name}",
                f"differs from `{other}` only by case: both would be HPO_PARAM_{name.upper()}",
            )
    if all(isinstance(parameter, FixedParameter) for parameter in spec.search.values()):
        yield Problem(
            "search", "has nothing to search: at least one parameter must be float, int or categorical"
        )


def domain_problems(spec: StudySpec) -> Iterator[Problem]:
    """Bounds, steps and choices of every parameter."""
    for name, parameter in spec.search.items():
        match parameter:
            case FloatParameter():
                found = _float_problems(parameter)
            case IntParameter():
                found = _int_problems(parameter)
            case CategoricalParameter(choices=choices):
                found = _choice_problems(choices)
            case FixedParameter(value=value):
                found = _exact("value", value)
            case _:
                found = iter(())
        yield from (Problem(f"search.{name}.{problem.field}", problem.message) for problem in found)


def _float_problems(parameter: FloatParameter) -> Iterator[Problem]:
    low, high, step = parameter.low, parameter.high, parameter.step
    yield from _bound_problems(parameter)
    if parameter.log and step is not None:
        yield Problem("step", "cannot be used with log")
    elif step is not None and step <= 0:
        yield Problem("step", f"must be > 0, got {number(step)}")
    elif step is not None and low < high and step > high - low:
        yield Problem("step", f"must be at most high - low = {number(high - low)}, got {number(step)}")
    elif step is not None and math.isfinite(high - low) and high - low > step * MAX_STEPS:
        yield Problem(
            "step", f"is too small for the range: more than {MAX_STEPS:.0e} steps, got {number(step)}"
        )
    if parameter.points is not None and step is not None:
        yield Problem("points", "cannot be used with step: give one of them")


def _int_problems(parameter: IntParameter) -> Iterator[Problem]:
    low, high = parameter.low, parameter.high
    yield from _bound_problems(parameter)
    yield from _exact("low", low)
    yield from _exact("high", high)
    if parameter.log and parameter.step != 1:
        yield Problem("step", "cannot be used with log")
    elif low < high and parameter.step > high - low:
        yield Problem("step", f"must be at most high - low = {high - low}, got {parameter.step}")


def _bound_problems(parameter: FloatParameter | IntParameter) -> Iterator[Problem]:
    low, high = parameter.low, parameter.high
    if parameter.log and low <= 0:
        yield Problem("low", f"must be > 0 on a log scale, got {number(low)}")
    if low > high:
        yield Problem("low", f"must be below high = {number(high)}, got {number(low)}")
    elif low == high:
        yield Problem(
            "low",
            f"must be below high, got {number(low)} for both: write {{type: fixed, value: {number(low)}}}",
        )
    elif not math.isfinite(float(high) - float(low)):
        yield Problem("low", f"the range from {number(low)} to {number(high)} is too wide to compute with")


def _choice_problems(choices: tuple[Scalar, ...]) -> Iterator[Problem]:
    first: dict[Scalar, int] = {}  # Python's equality, which is Optuna's: true equals 1
    for index, choice in enumerate(choices):
        yield from _exact(f"choices[{index}]", choice)
        other = first.setdefault(choice, index)
        if other != index and same(choice, choices[other]):
            yield Problem(f"choices[{index}]", f"{shown(choice)} is there already, as choices[{other}]")
        elif other != index:
            yield Problem(
                f"choices[{index}]",
                f"{shown(choice)} cannot be told from {shown(choices[other])} (choices[{other}]) by the sampler: "
                "use text",
            )


def _exact(field: str, value: Scalar) -> Iterator[Problem]:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > MAX_EXACT_INT:
        yield Problem(
            field,
            f"must be within ±2^53 = {MAX_EXACT_INT}, got {value}: larger numbers are not stored exactly",
        )


def condition_problems(spec: StudySpec) -> Iterator[Problem]:
    """`when`: known parents with those values, no cycles, one chain of parents, possible at all."""
    problems = [problem for name in spec.search for problem in _parent_problems(name, spec.search)]
    yield from problems
    if problems:
        return
    try:
        order = search_order(spec.search)
    except CycleError as error:
        cycle: list[str] = error.args[1]
        yield Problem(f"search.{cycle[0]}.when", f"forms a cycle: {' → '.join(cycle)}")
        return
    yield from _tree_problems(spec.search, order)


def _parent_problems(name: str, search: Search) -> Iterator[Problem]:
    for key, condition in (search[name].when or {}).items():
        field = f"search.{name}.when.{key}"
        parent = search.get(key)
        if parent is None:
            yield Problem(field, f"unknown parameter{did_you_mean(key, search)}")
        elif key == name:
            yield Problem(field, "a parameter cannot depend on itself")
        elif isinstance(parent, FloatParameter):
            yield Problem(
                field, "a condition can look at categorical, int and fixed parameters, not at a float"
            )
        elif not wanted_values(condition):
            yield Problem(field, "must name at least one value")
        else:
            messages = (misfit(parent, value) for value in wanted_values(condition))
            yield from (Problem(field, message) for message in messages if message)


def _tree_problems(search: Search, order: list[str]) -> Iterator[Problem]:
    """Walks from the roots: `above[name]` holds what must be true of each ancestor for `name` to be active."""
    above: dict[str, dict[str, list[Scalar]]] = {}
    for name in order:
        conditions = search[name].when or {}
        nearest_parent = max(conditions, key=lambda key: len(above[key]), default=None)
        chain = (
            {**above[nearest_parent], nearest_parent: _values(search[nearest_parent])}
            if nearest_parent
            else {}
        )
        apart = [key for key in conditions if key not in chain]
        if apart:
            yield Problem(
                f"search.{name}.when",
                f"{listed(sorted(conditions))} do not depend on one another: a condition may name one chain of "
                "parents only",
            )
        for key in conditions.keys() & chain.keys():
            wanted = wanted_values(conditions[key])
            possible = [
                value for value in wanted if not chain[key] or any(same(value, old) for old in chain[key])
            ]
            if not possible:
                yield Problem(
                    f"search.{name}.when.{key}", "contradicts the condition of a parent: it is never active"
                )
            chain[key] = possible or wanted
        above[name] = chain


def _values(parameter: AnyParameter) -> list[Scalar]:
    """The values to start from when conditions are intersected; [] stands for any."""
    return [parameter.value] if isinstance(parameter, FixedParameter) else []
