"""What is legal but perhaps not meant. Shown with the study, never an error."""

from collections.abc import Iterator
from decimal import Decimal

from hpo_tasks.errors import Problem
from hpo_tasks.spec.model import FloatParameter, IntParameter, StudySpec
from hpo_tasks.spec.sentences import number


def remarks(spec: StudySpec) -> list[Problem]:
    """Dotted fields of a valid study and what a reader should know about them."""
    return [*_step_remarks(spec), *_sampler_remarks(spec), *_initial_remarks(spec)]


def _step_remarks(spec: StudySpec) -> Iterator[Problem]:
    for name, parameter in spec.search.items():
        if isinstance(parameter, FloatParameter | IntParameter) and parameter.step:
            low, high, step = (
                Decimal(str(value)) for value in (parameter.low, parameter.high, parameter.step)
            )
            last = low + (high - low) // step * step
            if last != high:
                yield Problem(
                    f"search.{name}.high",
                    f"is never reached in steps of {number(parameter.step)}: the last value is {last}",
                )


def _sampler_remarks(spec: StudySpec) -> Iterator[Problem]:
    sampler = spec.optimizer.sampler
    conditional = any(parameter.when for parameter in spec.search.values())
    categorical = any(parameter.type == "categorical" for parameter in spec.search.values())
    if sampler in ("cmaes", "gp") and conditional:
        yield Problem(
            "optimizer.sampler", f"{sampler} draws parameters with conditions at random: tpe learns them"
        )
    elif sampler == "cmaes" and categorical:
        yield Problem("optimizer.sampler", "cmaes draws categorical parameters at random: tpe learns them")
    if sampler in ("random", "grid", "qmc", "cmaes") and spec.thresholds:
        yield Problem(
            "thresholds", f"{sampler} does not learn from them; they still decide which trial is the best"
        )


def _initial_remarks(spec: StudySpec) -> Iterator[Problem]:
    if len(spec.initial) > spec.budget.trials:
        yield Problem(
            "initial",
            f"the budget of {spec.budget.trials} trials ends before the last of {len(spec.initial)}",
        )
