"""The search space as a set of configurations: which are in it, how many, and how to walk through them. Pure."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice

from hpo_tasks.spec.constraint import Constraint, compile_constraint, kind_of
from hpo_tasks.spec.model import (
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Scalar,
    StudySpec,
)
from hpo_tasks.spec.search_space import is_active, search_order
from hpo_tasks.trial.contract import canonical_json

Configuration = dict[str, Scalar]

ENUMERABLE = 100_000
"""Spaces with more configurations (infeasible ones included) are never written out: the largest budget there is."""


@dataclass(frozen=True, slots=True)
class Space:
    """A study's search space.

    Attributes:
        search: name → parameter, as in the study file.
        order: names, parents before children.
        constraints: between parameters.
    """

    search: Mapping[str, Parameter]
    order: tuple[str, ...]
    constraints: tuple[Constraint, ...]

    @classmethod
    def of(cls, spec: StudySpec) -> "Space":
        kinds = {name: kind_of(parameter) for name, parameter in spec.search.items()}
        constraints = tuple(compile_constraint(text, kinds) for text in spec.constraints)
        return cls(spec.search, tuple(search_order(spec.search)), constraints)

    @property
    def finite(self) -> bool:
        """Whether every parameter has a limited number of values (`points` limits grids only)."""
        return all(
            not isinstance(p, FloatParameter) or p.step or p.low == p.high for p in self.search.values()
        )

    @property
    def conditional(self) -> bool:
        return any(p.when for p in self.search.values())

    def walk(self, choose: Callable[[str, Parameter], Scalar]) -> Configuration:
        """Build one configuration: active parameters in order, fixed ones filled in, the others chosen."""
        params: Configuration = {}
        for name in self.order:
            parameter = self.search[name]
            if is_active(parameter, params):
                params[name] = (
                    parameter.value if isinstance(parameter, FixedParameter) else choose(name, parameter)
                )
        return params

    def allows(self, params: Configuration) -> bool:
        """Whether the configuration satisfies every constraint between parameters."""
        return all(constraint.holds(params) for constraint in self.constraints)

    def enumerate(self) -> list[Configuration] | None:
        """All feasible configurations, the last parameter varying fastest; None if they are too many to write out.

        Raises:
            ValueError: a float has neither `step` nor `points`.
        """
        everything = list(islice(self._extend({}, 0), ENUMERABLE + 1))
        return None if len(everything) > ENUMERABLE else [c for c in everything if self.allows(c)]

    def _extend(self, params: Configuration, depth: int) -> Iterator[Configuration]:
        while depth < len(self.order) and not is_active(self.search[self.order[depth]], params):
            depth += 1
        if depth == len(self.order):
            yield params
            return
        name = self.order[depth]
        for value in levels(self.search[name]):
            yield from self._extend({**params, name: value}, depth + 1)


def key_of(params: Mapping[str, Scalar]) -> bytes:
    """What makes two configurations the same."""
    return canonical_json(params)


def levels(parameter: Parameter) -> Iterator[Scalar]:
    """All values of a parameter, ascending or in the order of its choices.

    Raises:
        ValueError: a float without `step` and `points`.
    """
    match parameter:
        case FixedParameter():
            yield parameter.value
        case CategoricalParameter():
            yield from parameter.choices
        case IntParameter():
            yield from range(parameter.low, parameter.high + 1, parameter.step)
        case FloatParameter() if parameter.low == parameter.high:
            yield parameter.low
        case FloatParameter() if parameter.step:
            yield from (_step(parameter, i) for i in range(_steps(parameter)))
        case FloatParameter() if parameter.points:
            yield from (_at(parameter, i / max(1, parameter.points - 1)) for i in range(parameter.points))
        case _:
            raise ValueError("a float without `step` or `points` has no list of values")


def value_at(parameter: Parameter, position: float) -> Scalar:
    """The value at a position in [0, 1): uniform positions give the distribution that random search means."""
    match parameter:
        case FixedParameter():
            return parameter.value
        case CategoricalParameter():
            return parameter.choices[int(position * len(parameter.choices))]
        case IntParameter(low=low, high=high) if parameter.log:
            bottom, top = math.log(low - 0.5), math.log(high + 0.5)
            return min(high, max(low, round(math.exp(bottom + position * (top - bottom)))))
        case IntParameter(low=low, high=high, step=step):
            return low + step * int(position * ((high - low) // step + 1))
        case FloatParameter() if parameter.step:
            return _step(parameter, int(position * _steps(parameter)))
        case FloatParameter():
            return _at(parameter, position)


def _at(parameter: FloatParameter, position: float) -> float:
    low, high = parameter.low, parameter.high
    if position in (0.0, 1.0):
        return high if position else low
    if parameter.log:
        value = math.exp(math.log(low) + position * (math.log(high) - math.log(low)))
    else:
        value = low + position * (high - low)
    return min(high, max(low, value))


def _steps(parameter: FloatParameter) -> int:
    """How many values a stepped float has. Decimal, as floats say that 0.3 / 0.1 is below 3."""
    span = Decimal(str(parameter.high)) - Decimal(str(parameter.low))
    return int(span // Decimal(str(parameter.step))) + 1


def _step(parameter: FloatParameter, index: int) -> float:
    return float(Decimal(str(parameter.low)) + index * Decimal(str(parameter.step)))
