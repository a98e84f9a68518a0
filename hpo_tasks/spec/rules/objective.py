"""What is optimised: metrics, their thresholds, constraints between parameters, configurations to try first."""

import re
from collections.abc import Iterator

from hpo_tasks.errors import Problem, SpecError
from hpo_tasks.spec.constraint import compile_constraint, kind_of
from hpo_tasks.spec.model import StudySpec
from hpo_tasks.spec.search_space import check_point
from hpo_tasks.spec.sentences import number, shown

_METRIC = re.compile(r"[A-Za-z_][A-Za-z0-9_.@%/-]{0,99}")
_RESERVED_METRICS = frozenset({"step"})  # the key of the step in a line of $HPO_METRICS


def metric_misfit(name: str) -> str:
    """Why the text cannot name a metric, as a sentence; "" if it can."""
    if name in _RESERVED_METRICS:
        return f"`{name}` is reserved for the step of a report: use another name"
    if _METRIC.fullmatch(name):
        return ""
    return (
        f"must be letters, digits and _ . @ % / - (at most 100), beginning with a letter, got {shown(name)}"
    )


def objective_problems(spec: StudySpec) -> Iterator[Problem]:
    """Metric names, each once."""
    names: list[str] = []
    for index, objective in enumerate(spec.objective):
        field = "objective.metric" if len(spec.objective) == 1 else f"objective[{index}].metric"
        if message := metric_misfit(objective.metric):
            yield Problem(field, message)
        elif objective.metric in names:
            yield Problem(field, f"`{objective.metric}` is an objective already: name each metric once")
        names.append(objective.metric)


def threshold_problems(spec: StudySpec) -> Iterator[Problem]:
    """Thresholds: on other metrics than the objectives, with a bound that can be met."""
    objectives = {objective.metric for objective in spec.objective}
    for name, threshold in spec.thresholds.items():
        field = f"thresholds.{name}"
        if message := metric_misfit(name):
            yield Problem(field, message)
        if name in objectives:
            yield Problem(
                field, "is an objective: it is optimised already; thresholds hold other metrics in bounds"
            )
        if threshold.min is None and threshold.max is None:
            yield Problem(field, "needs min or max")
        elif threshold.min is not None and threshold.max is not None and threshold.min > threshold.max:
            yield Problem(
                f"{field}.min", f"must be at most max = {number(threshold.max)}, got {number(threshold.min)}"
            )


def constraint_problems(spec: StudySpec) -> Iterator[Problem]:
    """Constraints: inside the grammar, about known parameters."""
    kinds = {name: kind_of(parameter) for name, parameter in spec.search.items()}
    for index, text in enumerate(spec.constraints):
        try:
            names = compile_constraint(text, kinds).names
        except SpecError as error:
            yield from (Problem(f"constraints[{index}]", problem.message) for problem in error.problems)
        else:
            if not names:
                yield Problem(f"constraints[{index}]", "must name at least one parameter")


def initial_problems(spec: StudySpec) -> Iterator[Problem]:
    """Configurations to try first: inside the space and its constraints."""
    for index, point in enumerate(spec.initial):
        if isinstance(point, str):
            if point in spec.initial[:index]:
                yield Problem(f"initial[{index}]", "previous_best is in the list already")
            continue
        if not point:
            yield Problem(f"initial[{index}]", "must name at least one parameter")
        for problem in check_point(spec, point):
            field = f".{problem.field}" if problem.field else ""
            yield Problem(f"initial[{index}]{field}", problem.message)
