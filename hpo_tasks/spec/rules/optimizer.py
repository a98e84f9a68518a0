"""The sampler and its options. Option names and bounds follow Optuna 5's constructors, without deprecated ones."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from hpo_tasks.errors import Problem
from hpo_tasks.spec.model import CategoricalParameter, FloatParameter, IntParameter, StudySpec
from hpo_tasks.spec.search_space import AnyParameter
from hpo_tasks.spec.sentences import did_you_mean, listed, number, shown

MAX_GRID = 100_000
"""As many configurations as the largest budget; the search writes a grid out."""

MAX_STEPS = 10**9
IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Option:
    """What an option may be: one of `words`, a truth value, or a number between bounds."""

    kind: type[bool] | type[int] | type[float] | type[str]
    low: float | None = None
    high: float | None = None
    words: tuple[str, ...] = ()

    def misfit(self, value: object) -> str:
        """Why the value does not fit, as a sentence; "" if it does."""
        if self.kind is bool:
            return "" if isinstance(value, bool) else f"must be true or false, got {shown(value)}"
        if self.kind is str:
            return "" if value in self.words else f"must be one of {listed(self.words)}, got {shown(value)}"
        if isinstance(value, bool) or not isinstance(value, int if self.kind is int else int | float):
            return f"must be a {'whole ' if self.kind is int else ''}number, got {shown(value)}"
        if self.low is not None and value < self.low:
            return f"must be at least {number(self.low)}, got {number(value)}"
        if self.high is not None and value > self.high:
            return f"must be at most {number(self.high)}, got {number(value)}"
        return ""


_FLAG = Option(bool)
_SHARE = Option(float, 0, 1)
_STARTUP = Option(int, 0, 100_000)

SAMPLERS: Mapping[str, Mapping[str, Option]] = {
    "random": {},
    "grid": {},
    "qmc": {"qmc_type": Option(str, words=("sobol", "halton")), "scramble": _FLAG},
    "tpe": {
        "n_startup_trials": _STARTUP,
        "n_ei_candidates": Option(int, 1, 10_000),
        "multivariate": _FLAG,
        "group": _FLAG,
        "constant_liar": _FLAG,
    },
    "gp": {"n_startup_trials": _STARTUP, "deterministic_objective": _FLAG},
    "cmaes": {
        "n_startup_trials": _STARTUP,
        "popsize": Option(int, 2, 10_000),
        "consider_pruned_trials": _FLAG,
        "use_separable_cma": _FLAG,
        "with_margin": _FLAG,
        "lr_adapt": _FLAG,
    },
    "nsga2": {
        "population_size": Option(int, 2, 10_000),
        "mutation_prob": _SHARE,
        "crossover_prob": _SHARE,
        "swapping_prob": _SHARE,
    },
}
"""Built-in samplers and their options."""

# Options that Optuna refuses together (sampler, one, other).
_TOGETHER = (
    ("cmaes", "lr_adapt", "use_separable_cma"),
    ("cmaes", "lr_adapt", "with_margin"),
    ("cmaes", "use_separable_cma", "with_margin"),
)


def sampler_problems(spec: StudySpec) -> Iterator[Problem]:
    """The sampler exists, is installed, can do this study, and takes these options."""
    optimizer = spec.optimizer
    if ":" in optimizer.sampler:
        if not IMPORT_PATH.fullmatch(optimizer.sampler):
            yield Problem("optimizer.sampler", f"must be module:Class, got {shown(optimizer.sampler)}")
        if "seed" in optimizer.options:
            yield Problem(
                "optimizer.options.seed", "belongs under optimizer.seed: each round gets its own seed of it"
            )
        return
    if optimizer.sampler not in SAMPLERS:
        hint = did_you_mean(optimizer.sampler, SAMPLERS)
        yield Problem("optimizer.sampler", f"unknown sampler {shown(optimizer.sampler)}{hint}")
        return
    if optimizer.sampler == "gp" and find_spec("torch") is None:
        yield Problem("optimizer.sampler", "gp needs PyTorch: pip install 'hpo-tasks[gp]'")
    if optimizer.sampler == "cmaes" and len(spec.objective) > 1:
        yield Problem("optimizer.sampler", "cmaes cannot optimise several objectives: use nsga2, tpe or gp")
    yield from _option_problems(optimizer.sampler, optimizer.options)


def _option_problems(sampler: str, options: Mapping[str, object]) -> Iterator[Problem]:
    known = SAMPLERS[sampler]
    for name, value in options.items():
        field = f"optimizer.options.{name}"
        if name == "seed":
            yield Problem(field, "belongs under optimizer.seed: each round gets its own seed of it")
        elif name not in known:
            hint = did_you_mean(name, known) if known else f"; {sampler} has no options"
            yield Problem(field, f"unknown option of {sampler}{hint}")
        elif message := known[name].misfit(value):
            yield Problem(field, message)
    for owner, one, other in _TOGETHER:
        if owner == sampler and options.get(one) is True and options.get(other) is True:
            yield Problem(f"optimizer.options.{other}", f"cannot be used with {one}")
    if sampler == "tpe" and options.get("group") is True and options.get("multivariate") is False:
        yield Problem("optimizer.options.group", "needs multivariate: true")


def grid_problems(spec: StudySpec) -> Iterator[Problem]:
    """A grid needs a finite number of values for each parameter, and not too many altogether."""
    if spec.optimizer.sampler != "grid":
        return
    size = 1
    for name, parameter in spec.search.items():
        count = grid_size(parameter)
        if count is None:
            yield Problem(f"search.{name}", "a float in a grid needs step or points")
        elif parameter.when is None:
            size *= count
    if size > MAX_GRID:
        yield Problem(
            "search",
            f"the grid has {size} configurations, at most {MAX_GRID}: use larger steps or fewer points",
        )


def grid_size(parameter: AnyParameter) -> int | None:
    """How many values of the parameter a grid tries; None if it cannot be enumerated."""
    match parameter:
        case FloatParameter():
            return _float_count(parameter)
        case IntParameter(low=low, high=high, step=step):
            return max(0, (high - low) // step) + 1
        case CategoricalParameter(choices=choices):
            return len(choices)
    return 1


def _float_count(parameter: FloatParameter) -> int | None:
    if parameter.points is not None:
        return parameter.points
    steps = (parameter.high - parameter.low) / parameter.step if parameter.step else math.inf
    return int(steps + 1e-8) + 1 if 0 <= steps <= MAX_STEPS else None
