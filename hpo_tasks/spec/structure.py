"""Plain data → typed model, and pydantic's complaints in the user's words.

`read_structure` goes on after a mistake: what could not be read is left out, so that the rules of `rules/` can still
be checked on the rest and the user sees all problems at once.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from hpo_tasks.errors import Problem
from hpo_tasks.spec import model
from hpo_tasks.spec.complaints import keys, sentence, worth_telling
from hpo_tasks.spec.limits import dotted
from hpo_tasks.spec.sentences import did_you_mean, listed, nearest, shown

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Structure:
    """What could be read of a document.

    Attributes:
        spec: the whole study if there are no problems; else what could be read, with stand-ins for the rest.
        problems: one for each field that could not be read.
        unread: paths that the spec does not hold as the user wrote them.
        broken: top-level fields of which nothing could be kept; rules about them have nothing to say.
    """

    spec: model.StudySpec
    problems: tuple[Problem, ...]
    unread: tuple[str, ...]
    broken: frozenset[str]


# Stand-ins for required fields, so that the rest of a study can be checked. Never part of a result.
_STAND_INS: Mapping[str, Any] = {
    "name": "unread",
    "objective": {"metric": "unread", "direction": "minimize"},
    "search": {},
    "budget": {"trials": 1},
    "trial": {"command": ["unread"]},
}

_PARAMETERS: Mapping[str, type[model._Parameter]] = {
    "float": model.FloatParameter,
    "int": model.IntParameter,
    "categorical": model.CategoricalParameter,
    "fixed": model.FixedParameter,
}

_BACKENDS: Mapping[str, type[model._Model]] = {
    "local": model.LocalBackend,
    "batch": model.BatchBackend,
}

# Which model stands at which path (`*`: any name or position), to know the names that a typing error may have meant.
_MODELS: Mapping[tuple[str, ...], type[model._Model]] = {
    (): model.StudySpec,
    ("objective",): model.Objective,
    ("objective", "*"): model.Objective,
    ("thresholds", "*"): model.Threshold,
    ("optimizer",): model.Optimizer,
    ("budget",): model.Budget,
    ("trial",): model.Trial,
    ("trial", "code"): model.Code,
    ("trial", "resources"): model.Resources,
    ("trial", "metrics", "*"): model.MetricPattern,
    ("trial", "secrets", "*"): model.SecretRef,
    ("backend",): model.LocalBackend,
    ("store",): model.StoreRef,
    ("keep",): model.Keep,
}

_MISSING: Mapping[str, str] = {
    "name": "give the study a name",
    "objective": "say what to optimise, e.g. {metric: rmse, direction: minimize}",
    "search": "say what to search, e.g. {learning_rate: {type: float, low: 0.001, high: 0.1, log: true}}",
    "budget": "say how long to search, e.g. {trials: 64}",
    "budget.trials": "say how many trials to run",
    "trial": "say what to run: a trainer, an entry_point or a command",
}


def read_structure(data: Mapping[str, Any]) -> Structure:
    """Read a study document into its model.

    Args:
        data: plain data that is within `limits`.
    """
    try:
        return Structure(_validated(data), (), (), frozenset())
    except ValidationError as error:
        errors = worth_telling(error)
    paths = [_path(dict(problem), data) for problem in errors]
    problems = tuple(
        Problem(dotted(path), _sentence(dict(problem), path, data))
        for path, problem in zip(paths, errors, strict=True)
    )
    parameters = {str(path[1]) for path in paths if path[0] == "search" and len(path) > 1}
    spec, broken = _without(data, paths)
    written = data["search"] if parameters else spec.search  # in the file's order
    search = {name: model.UnreadParameter() if name in parameters else spec.search[name] for name in written}
    unread = {dotted(path) for path in paths} | {f"search.{name}" for name in parameters} | broken
    return Structure(
        spec.model_copy(update={"search": search}), problems, tuple(sorted(unread)), frozenset(broken)
    )


def _validated(data: Mapping[str, Any]) -> model.StudySpec:
    # by_name off: the file's keys are the aliases (`timeout`), the attributes (`timeout_s`) are for our code.
    return model.StudySpec.model_validate(dict(data), by_alias=True, by_name=False)


def _without(data: Mapping[str, Any], paths: list[Path]) -> tuple[model.StudySpec, set[str]]:
    """The study without the values at `paths`; a top-level field that cannot do without is replaced and named."""
    rest = copy.deepcopy(dict(data))
    for path in paths:
        _remove(rest, _removable(path))
    try:
        return _validated(rest), set()
    except ValidationError as error:
        broken = {str(problem["loc"][0]) for problem in error.errors(include_url=False)}
    for field in broken:
        rest.pop(field, None)
    rest |= {field: _STAND_INS[field] for field in broken if field in _STAND_INS}
    return _validated(rest), broken


def _removable(path: Path) -> Path:
    """The part of the document to leave out: a whole parameter, a whole list, else the field itself."""
    if path[0] == "search":
        return path[:2]
    first_index = next((depth for depth, part in enumerate(path) if isinstance(part, int)), len(path))
    return path[:first_index]


def _remove(data: dict[str, Any], path: Path) -> None:
    value: Any = data
    for part in path[:-1]:
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, dict):
        value.pop(path[-1], None)


def _path(error: Mapping[str, Any], data: Mapping[str, Any]) -> Path:
    """Pydantic's location of an error as a path in the user's document.

    Left out: the parameter's type, which pydantic adds after `search.<name>`; positions and keys that a short form
    (a single objective, a store's address) does not have.
    """
    loc = error["loc"]
    if loc[:1] == ("search",) and len(loc) > 3:
        loc = loc[:2] + loc[3:]
    path: Path = ()
    value: Any = data
    for depth, part in enumerate(loc):
        if isinstance(value, Mapping) and (part in value or depth == len(loc) - 1) and isinstance(part, str):
            path, value = (*path, part), value.get(part)
        elif isinstance(value, list | tuple) and isinstance(part, int):
            path, value = (*path, part), value[part] if part < len(value) else None
    return (*path, "type") if error["type"] in _TAG_ERRORS and isinstance(value, Mapping) else path


def _sentence(error: dict[str, Any], path: Path, data: Mapping[str, Any]) -> str:
    """One of pydantic's errors as one sentence."""
    kind, value = error["type"], error["input"]
    if kind == "missing":
        hint = _MISSING.get(dotted(path)) or _MISSING.get(str(path[-1]))
        return f"missing: {hint}" if hint else "missing"
    if kind == "extra_forbidden":
        return _unknown(path, data)
    if path[:1] == ("backend",) and kind in _TAG_ERRORS:
        return _tag(value, _BACKENDS)
    if kind in _TAG_ERRORS or (path[:1] == ("search",) and len(path) == len(("search", "name"))):
        return _tag(value, _PARAMETERS)
    if kind == "tuple_type" and dotted(path) == "trial.command":
        return (
            f'must be a list such as [python, train.py, "--lr={{lr}}"], got {shown(value)}: no shell reads it'
        )
    return sentence(error)


_TAG_ERRORS = ("union_tag_not_found", "union_tag_invalid")


def _tag(tagged: object, models: Mapping[str, type[model._Model]]) -> str:
    """What is wrong with something whose `type` says which of the models it is."""
    kinds = listed(models)
    if not isinstance(tagged, Mapping):
        return f"must be a mapping with a type ({kinds}), got {shown(tagged)}"
    if "type" not in tagged:
        return f"missing: must be one of {kinds}"
    kind = tagged["type"]
    near = nearest(kind, models) if isinstance(kind, str) else None
    asked = f", did you mean `{near}`?" if near else ""
    return f"must be one of {kinds}, got {shown(kind)}{asked}"


def _unknown(path: Path, data: Mapping[str, Any]) -> str:
    name = str(path[-1])
    known = keys(_model_at(path[:-1], data))
    elsewhere = {
        key: dotted((*place, key))
        for place, cls in _MODELS.items()
        if "*" not in place and place != path[:-1]
        for key in keys(cls)
    }
    if (near := nearest(name, known)) and name not in elsewhere:
        return f"unknown field, did you mean `{near}`?"
    if near := nearest(name, elsewhere):
        return f"unknown field, did you mean `{elsewhere[near]}`?"
    return f"unknown field{did_you_mean(name, known)}"


def _model_at(path: Path, data: Mapping[str, Any]) -> type[model._Model] | None:
    if path[:1] == ("search",):
        parameter = data["search"][path[1]]
        return _PARAMETERS.get(parameter.get("type"))
    if path == ("backend",):
        return _BACKENDS.get(data["backend"].get("type"))
    for pattern, cls in _MODELS.items():
        if len(pattern) == len(path) and all(p in ("*", part) for p, part in zip(pattern, path, strict=True)):
            return cls
    return None
