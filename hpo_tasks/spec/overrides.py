"""Changes to a study from the trigger form or the command line: dotted keys, checked as a whole with the study."""

from collections.abc import Iterator, Mapping
from typing import Any

from hpo_tasks.errors import Problem, SpecError
from hpo_tasks.spec.form import planned_max_rounds
from hpo_tasks.spec.identity import canonical
from hpo_tasks.spec.model import StudySpec
from hpo_tasks.spec.reader import read
from hpo_tasks.spec.rules.trust import Trust, import_path_problems, machine_is_open
from hpo_tasks.spec.sentences import did_you_mean, shown
from hpo_tasks.spec.validate import checked, refused

FORM_KEYS = ("budget.", "batch_size", "optimizer.")
"""What a form may change of a study file: the rest is for those who may change the file."""


def apply(spec: StudySpec, overrides: Mapping[str, object], trust: Trust) -> StudySpec:
    """The study with some fields changed, checked as a whole.

    A changed sampler runs with its default options unless options are given too. With `Trust.FORM` the rounds stay
    those that the file's DAG has, import paths must be allowed, and only `FORM_KEYS` may change unless whoever may
    trigger may use the machine anyway (`HPO_ALLOW_LOCAL_ADHOC=1`).

    Args:
        spec: a valid study.
        overrides: dotted keys → plain data, e.g. {"budget.trials": 20}. Lists are replaced whole.
        trust: where the changes come from; the study itself was trusted when it was read.

    Raises:
        SpecError: unknown keys and everything that the changes make wrong.
    """
    document = canonical(spec)
    if len(document["objective"]) == 1:
        document["objective"] = document["objective"][0]
    problems = list(_not_for_forms(overrides)) if trust is Trust.FORM and not machine_is_open() else []
    for key, value in overrides.items():
        problems += _set(document, key, value)
    if problems:
        raise refused(problems)
    if _changes_sampler(spec, document) and not any(key.startswith("optimizer.options") for key in overrides):
        document["optimizer"]["options"] = {}
    if trust is Trust.FILE:
        return checked(document, lambda _: ())
    if "max_rounds" not in overrides:
        document["max_rounds"] = planned_max_rounds(spec)
    return checked(document, lambda changed: _form_problems(spec, changed))


def parse_override(text: str) -> tuple[str, object]:
    """Split `budget.trials=20` into key and value; the value is read as YAML: 20, 1e-3, true, [a, b], {x: 1}, text.

    Raises:
        SpecError: no `=`, no key, or a value that is not YAML.
    """
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise SpecError([Problem("", f"must be key=value, e.g. budget.trials=20, got {shown(text)}")])
    if not value.strip():
        return key, None
    try:
        return key, read(value, format="yaml")
    except SpecError as error:
        raise SpecError([Problem(key, problem.message) for problem in error.problems]) from None


def _set(document: dict[str, Any], key: str, value: object) -> Iterator[Problem]:
    """Put the value where the dotted key says. The last part may be new: the validator knows what is allowed."""
    parts = key.split(".")
    place: Any = document
    for depth, part in enumerate(parts[:-1]):
        if isinstance(place, dict) and place.get(part, ...) is None:
            place[part] = {}  # a section that the file left out
        if not isinstance(place, dict) or part not in place:
            yield Problem(key, _unknown(place, ".".join(parts[: depth + 1])))
            return
        place = place[part]
    if not isinstance(place, dict):
        yield Problem(key, _unknown(place, key))
    elif not parts[-1]:
        yield Problem(key, "must be a field's name, e.g. budget.trials")
    else:
        place[parts[-1]] = value


def _unknown(place: object, field: str) -> str:
    name = field.rsplit(".", 1)[-1]
    return f"unknown field{did_you_mean(name, place) if isinstance(place, dict) else ''}"


def _form_problems(spec: StudySpec, changed: StudySpec) -> Iterator[Problem]:
    yield from import_path_problems(changed.optimizer.sampler, also_allowed=(spec.optimizer.sampler,))
    rounds = planned_max_rounds(spec)
    if planned_max_rounds(changed) > rounds:
        yield Problem(
            "max_rounds", f"must be at most {rounds}, the rounds of this DAG, got {changed.max_rounds}"
        )


def _not_for_forms(overrides: Mapping[str, object]) -> Iterator[Problem]:
    for key in overrides:
        if not key.startswith(FORM_KEYS):
            hint = did_you_mean(key, ("budget.trials", "batch_size", "optimizer.sampler", "optimizer.seed"))
            yield Problem(key, f"cannot be changed in a form{hint}")


def _changes_sampler(spec: StudySpec, document: Mapping[str, Any]) -> bool:
    optimizer = document.get("optimizer")
    return isinstance(optimizer, dict) and optimizer.get("sampler") != spec.optimizer.sampler
