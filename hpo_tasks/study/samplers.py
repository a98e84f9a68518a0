"""Optuna's samplers and distributions, built from the spec. Imports Optuna: never import this from a DAG file."""

import importlib
import importlib.util
import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, NSGAIISampler

from hpo_tasks.errors import InputError
from hpo_tasks.spec.model import (
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Optimizer,
    Parameter,
)
from hpo_tasks.study.batch_tpe import BatchTPESampler


def distribution(parameter: Parameter) -> BaseDistribution:
    """Optuna's distribution of a parameter.

    Raises:
        TypeError: a fixed parameter has none.
    """
    match parameter:
        case FloatParameter(low=low, high=high, log=log, step=step):
            return FloatDistribution(low, high, log=log, step=step)
        case IntParameter(low=low, high=high, log=log, step=step):
            return IntDistribution(low, high, log=log, step=step)
        case CategoricalParameter(choices=choices):
            return CategoricalDistribution(choices)
        case FixedParameter():
            raise TypeError("a fixed parameter is not searched")


def build(optimizer: Optimizer, seed: int, *, conditional: bool) -> BaseSampler:
    """A fresh sampler.

    Args:
        optimizer: the spec's; not random, grid or qmc, which are ours (`sequences`).
        seed: of the round.
        conditional: whether the space has conditional parameters.

    Raises:
        InputError: unknown sampler, wrong options, or a library is missing; says what to do.
    """
    options = dict(optimizer.options)
    match optimizer.sampler:
        case "tpe":
            # Without groups TPE takes parameters that are not in every trial one by one.
            sampler: type[BaseSampler] = BatchTPESampler
            options.setdefault("group", conditional and options.get("multivariate") is not False)
        case "gp":
            if importlib.util.find_spec("torch") is None:
                raise InputError(
                    "optimizer.sampler: gp needs PyTorch; pip install 'hpo-tasks[gp]', or use another sampler"
                )
            sampler = GPSampler
            options.setdefault("warn_independent_sampling", False)
        case "cmaes":
            sampler = CmaEsSampler
            options.setdefault("warn_independent_sampling", False)
        case "nsga2":
            sampler = NSGAIISampler
        case path:
            sampler = _import_sampler(path)
    return _construct(sampler, optimizer.sampler, options, seed)


def _import_sampler(path: str) -> type[BaseSampler]:
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"optimizer.sampler: cannot import {path!r} ({error}); write `module:Class`"
        ) from None
    if not (isinstance(found, type) and issubclass(found, BaseSampler)):
        raise InputError(f"optimizer.sampler: {path!r} is not a subclass of optuna.samplers.BaseSampler")
    return found


def _construct(sampler: type[BaseSampler], name: str, options: dict[str, Any], seed: int) -> BaseSampler:
    if "seed" in inspect.signature(sampler).parameters:
        options.setdefault("seed", seed)
    try:
        with quiet():
            return sampler(**options)
    except (TypeError, ValueError) as error:
        raise InputError(f"optimizer.options: {name} does not take them: {error}") from None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna's progress messages and its marks on experimental features out of a task's log."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
