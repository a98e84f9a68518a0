"""Sources of configurations that do not learn: grid, quasi-random, random. Each is a fixed sequence.

What was tried already is left out by `propose`, so a sequence starts anew in every ask and needs no state.
"""

import random
from collections.abc import Iterator, Mapping
from typing import Any

from hpo_tasks.errors import InputError
from hpo_tasks.spec.model import FixedParameter
from hpo_tasks.study.space import ENUMERABLE, Configuration, Space, value_at

QMC_BLOCK = 1024  # a power of two, as Sobol points are balanced over such blocks only


def grid(space: Space, seed: int) -> list[Configuration]:
    """Every feasible configuration once, in an order that the seed fixes.

    Shuffled, so that a budget below the grid's size still sees the whole range of every parameter.

    Raises:
        InputError: the grid is too large.
    """
    configurations = space.enumerate()
    if configurations is None:
        raise InputError(
            f"search: the grid has more than {ENUMERABLE:,} configurations; use fewer points, larger steps, or "
            "another sampler"
        )
    random.Random(seed).shuffle(configurations)  # noqa: S311 - a search, not a secret
    return configurations


def uniform(space: Space, seed: int, given: Configuration | None = None) -> Iterator[Configuration]:
    """Independent uniform draws, without end.

    Args:
        space: where to draw.
        seed: fixes the sequence.
        given: parameters that are not drawn.
    """
    generator = random.Random(seed)  # noqa: S311 - a search, not a secret
    given = given or {}
    while True:
        yield space.walk(
            lambda name, parameter: given[name] if name in given else value_at(parameter, generator.random())
        )


def qmc(space: Space, seed: int, options: Mapping[str, Any]) -> Iterator[Configuration]:
    """A scrambled low-discrepancy sequence (Sobol or Halton), without end.

    One coordinate for each parameter that is not fixed, inactive ones included: a conditional parameter keeps its
    coordinate whatever its parent is.

    Source: Owen, A. B. (1995), Randomly permuted (t, m, s)-nets and (t, s)-sequences; SciPy's implementation.
    """
    from scipy.stats import qmc as engines  # noqa: PLC0415 - over a second to import

    names = [name for name in space.order if not isinstance(space.search[name], FixedParameter)]
    engine_class = engines.Halton if options.get("qmc_type", "sobol") == "halton" else engines.Sobol
    engine = engine_class(len(names), scramble=bool(options.get("scramble", True)), rng=seed)
    while True:
        for point in engine.random(QMC_BLOCK).tolist():
            position = dict(zip(names, point, strict=True))
            yield space.walk(lambda name, parameter, at=position: value_at(parameter, at[name]))  # type: ignore[misc]
