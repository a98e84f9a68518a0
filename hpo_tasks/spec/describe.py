"""A study as Markdown, for its DAG's page."""

import re
from collections.abc import Iterator

from hpo_tasks.spec.form import planned_max_rounds
from hpo_tasks.spec.model import (
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    StudySpec,
    Threshold,
)
from hpo_tasks.spec.remarks import remarks
from hpo_tasks.spec.search_space import AnyParameter, condition_text
from hpo_tasks.spec.sentences import number, shown
from hpo_tasks.spec.units import duration_text, memory_text

_CHOICES_SHOWN = 12
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;", "`": "&#96;", "|": "&#124;"}
_MARKUP = re.compile(r"([\\*_{}\[\]()#+\-.!~$=:/@])")


def describe(spec: StudySpec) -> str:
    """Render the study as Markdown: objective, search space, budget, program.

    The user's texts are escaped: they appear as written and add no markup, links or HTML.
    """
    parts = [f"### {escaped(spec.name)}"]
    if spec.description:
        parts.append(escaped(spec.description))
    parts.append("\n".join(f"- **{label}:** {text}" for label, text in _facts(spec)))
    parts += ["#### Search space", _table(spec)]
    if spec.constraints:
        parts += ["#### Constraints", "\n".join(f"- {escaped(text)}" for text in spec.constraints)]
    if notes := remarks(spec):
        parts += ["#### Notes", "\n".join(f"- {escaped(str(note))}" for note in notes)]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """The text as Markdown that shows it as written, on one line.

    HTML's characters become entities, Markdown's get a backslash (CommonMark 0.31, section 2.4).
    """
    one_line = " ".join(text.split())
    marked = _MARKUP.sub(r"\\\1", one_line)
    return "".join(_ENTITIES.get(char, char) for char in marked)


def _facts(spec: StudySpec) -> Iterator[tuple[str, str]]:
    yield "Objective", ", ".join(f"{one.direction} {escaped(one.metric)}" for one in spec.objective)
    if spec.thresholds:
        yield "Thresholds", ", ".join(_threshold(name, bound) for name, bound in spec.thresholds.items())
    yield "Budget", _budget(spec)
    yield "Rounds", f"up to {planned_max_rounds(spec)}, of {_counted(spec.batch_size, 'trial')}"
    yield "Optimizer", f"{escaped(spec.optimizer.sampler)}, seed {spec.optimizer.seed}"
    yield "Program", _program(spec)
    yield "Each trial", _trial(spec)
    if spec.trial.inputs:
        yield (
            "Inputs",
            "; ".join(f"{escaped(name)} = {escaped(uri)}" for name, uri in spec.trial.inputs.items()),
        )
    yield "Backend", f"{spec.backend.type}, {_counted(spec.backend.slots, 'trial')} side by side"
    if spec.pool:
        yield "Pool", escaped(spec.pool)
    if spec.schedule:
        yield (
            "Schedule",
            f"{escaped(spec.schedule)} ({escaped(spec.timezone)}){' - paused' if spec.paused else ''}",
        )
    if spec.owner:
        yield "Owner", escaped(spec.owner)


def _threshold(name: str, bound: Threshold) -> str:
    low = f"{number(bound.min)} &lt;= " if bound.min is not None else ""
    high = f" &lt;= {number(bound.max)}" if bound.max is not None else ""
    return f"{low}{escaped(name)}{high}"


def _budget(spec: StudySpec) -> str:
    budget = spec.budget
    clock = f", at most {duration_text(budget.wall_clock_s)}" if budget.wall_clock_s is not None else ""
    return f"{_counted(budget.trials, 'trial')}{clock}; stops if more than {number(budget.max_failed_share * 100)} % fail"


def _program(spec: StudySpec) -> str:
    trial = spec.trial
    if trial.trainer is not None:
        return f"trainer {escaped(trial.trainer)}"
    if trial.entry_point is not None:
        return f"Python callable {escaped(trial.entry_point)}"
    return f"command {' '.join(escaped(shown(element)) for element in trial.command or ())}"


def _trial(spec: StudySpec) -> str:
    trial, resources = spec.trial, spec.trial.resources
    threads = "all threads of its slot" if resources.threads == -1 else _counted(resources.threads, "thread")
    memory = f", {memory_text(resources.memory_bytes)}" if resources.memory_bytes else ""
    gpus = f", {_counted(resources.gpus, 'GPU')}" if resources.gpus else ""
    return f"{threads}{memory}{gpus}, timeout {duration_text(trial.timeout_s)}, up to {_counted(trial.attempts, 'attempt')}"


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _table(spec: StudySpec) -> str:
    rows = ["| parameter | type | values | condition |", "|---|---|---|---|"]
    for name, parameter in spec.search.items():
        condition = escaped(condition_text(parameter)) if parameter.when else ""
        rows.append(f"| {escaped(name)} | {parameter.type} | {_values(parameter)} | {condition} |")
    return "\n".join(rows)


def _values(parameter: AnyParameter) -> str:
    match parameter:
        case CategoricalParameter(choices=choices):
            more = f", and {len(choices) - _CHOICES_SHOWN} more" if len(choices) > _CHOICES_SHOWN else ""
            return ", ".join(escaped(shown(choice)) for choice in choices[:_CHOICES_SHOWN]) + more
        case FixedParameter(value=value):
            return escaped(shown(value))
        case FloatParameter() | IntParameter():
            scale = ", log scale" if parameter.log else ""
            step = f", step {number(parameter.step)}" if parameter.step not in (None, 1) else ""
            return f"{number(parameter.low)} to {number(parameter.high)}{step}{scale}"
