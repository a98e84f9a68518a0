"""The one validator: study file, command line, trigger form and REST all come through here."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from hpo_tasks.errors import Problem, SpecError
from hpo_tasks.spec.limits import MAX_BYTES, limit_problems
from hpo_tasks.spec.model import StudySpec
from hpo_tasks.spec.reader import Format, read
from hpo_tasks.spec.rules import (
    backend,
    budget,
    environment,
    objective,
    optimizer,
    program,
    schedule,
    search,
    store,
    texts,
)
from hpo_tasks.spec.rules.trust import Trust, trust_problems
from hpo_tasks.spec.sentences import one_line, shown
from hpo_tasks.spec.structure import Structure, read_structure
from hpo_tasks.spec.trainer_options import trainer_problems
from hpo_tasks.spec.trainer_parameters import parameter_problems

Rule = Callable[[StudySpec], Iterable[Problem]]

# Every rule, with the top-level fields without which it has nothing to say.
_RULES: tuple[tuple[Rule, frozenset[str]], ...] = (
    (texts.text_problems, frozenset()),
    (texts.tag_problems, frozenset()),
    (schedule.schedule_problems, frozenset()),
    (objective.objective_problems, frozenset({"objective"})),
    (objective.threshold_problems, frozenset({"objective"})),
    (search.name_problems, frozenset({"search"})),
    (search.domain_problems, frozenset({"search"})),
    (search.condition_problems, frozenset({"search"})),
    (objective.constraint_problems, frozenset({"search"})),
    (optimizer.sampler_problems, frozenset({"objective"})),
    (optimizer.grid_problems, frozenset({"search"})),
    (budget.budget_problems, frozenset({"budget", "batch_size", "max_rounds"})),
    (program.program_problems, frozenset({"trial"})),
    (program.command_problems, frozenset({"trial", "search"})),
    (program.pattern_problems, frozenset({"trial"})),
    (program.code_problems, frozenset({"trial"})),
    (program.input_problems, frozenset({"trial"})),
    (program.trainer_input_problems, frozenset({"trial"})),
    (trainer_problems, frozenset({"trial", "objective"})),
    (parameter_problems, frozenset({"trial", "search"})),
    (environment.environment_problems, frozenset({"trial"})),
    (environment.input_name_problems, frozenset({"trial"})),
    (environment.secret_problems, frozenset({"trial"})),
    (store.store_problems, frozenset()),
    (backend.backend_problems, frozenset({"backend"})),
    (backend.cloud_problems, frozenset({"backend", "trial"})),
)
_FIELD_ORDER = {name: index for index, name in enumerate(StudySpec.model_fields)}
_PROGRAMS = ("trial.trainer", "trial.entry_point", "trial.command")


def load(path: Path, *, trust: Trust = Trust.FILE) -> StudySpec:
    """Read a study file.

    Args:
        path: a `.yaml`, `.yml` or `.json` file.
        trust: where it comes from.

    Raises:
        SpecError: all problems of the file, with its name.
    """
    source = path.name
    if path.suffix not in (".yaml", ".yml", ".json"):
        raise SpecError([Problem("", "a study file ends in .yaml, .yml or .json")], source=source)
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SpecError([Problem("", f"cannot be read: {error.strerror}")], source=str(path)) from None
    spec = parse(text, format="json" if path.suffix == ".json" else "yaml", trust=trust, source=source)
    code = spec.trial.code
    if (
        code is not None
        and code.dir is not None
        and code.git is None
        and not (path.resolve().parent / code.dir).is_dir()
    ):
        problem = Problem(
            "trial.code.dir", f"there is no folder {shown(code.dir)} as seen from the study file"
        )
        raise SpecError([problem], source=source)
    return spec


def parse(text: bytes | str, *, format: Format, trust: Trust, source: str = "") -> StudySpec:  # noqa: A002 - users' word
    """Read a study from text.

    Args:
        text: the document; bytes must be UTF-8.
        format: `yaml` or `json`.
        trust: where it comes from.
        source: what to call it in messages, e.g. the file's name.

    Raises:
        SpecError: all problems.
    """
    return validate(read(text, format=format, source=source), trust=trust, source=source)


def validate(data: Mapping[str, Any], *, trust: Trust, source: str = "") -> StudySpec:
    """Check a study document and make the spec of it.

    Args:
        data: plain data with a study file's keys.
        trust: where it comes from.
        source: what to call it in messages.

    Raises:
        SpecError: all problems, in the order of the fields.
    """
    return checked(data, lambda spec: trust_problems(spec, trust), source=source)


def checked(data: Any, trusted: Rule, *, source: str = "") -> StudySpec:
    """`validate` with another rule about trust.

    Raises:
        SpecError: all problems, in the order of the fields.
    """
    if not isinstance(data, Mapping):
        raise SpecError(
            [Problem("", f"must be a mapping of fields (key: value), got {shown(data)}")], source=source
        )
    if too_large := limit_problems(data):
        raise refused(too_large, source)
    structure = read_structure(data)
    rules = (*_RULES, (trusted, frozenset({"trial"})), *_point_rules(structure))
    problems = [*structure.problems]
    for rule, needed in rules:
        if not needed & structure.broken:
            problems += [problem for problem in rule(structure.spec) if not _about_unread(problem, structure)]
    if problems:
        raise refused(problems, source)
    return structure.spec


def refused(problems: Iterable[Problem], source: str = "") -> SpecError:
    """The error with each problem once, in the order of the fields, without control characters or secrets."""
    ordered = sorted(dict.fromkeys(problems), key=_place)
    clean = [Problem(one_line(problem.field), one_line(problem.message)) for problem in ordered]
    return SpecError(clean, source=source)


def _point_rules(structure: Structure) -> tuple[tuple[Rule, frozenset[str]], ...]:
    """Points are looked up in the tree of conditions, so that has to be one."""
    if any(True for _ in search.condition_problems(structure.spec)):
        return ()
    return ((objective.initial_problems, frozenset({"search"})),)


def _about_unread(problem: Problem, structure: Structure) -> bool:
    """Whether a rule complains about something that is not in the file as the rule sees it."""
    for field in structure.unread:
        if _inside(problem.field, field):
            return True
        about_program = any(_inside(field, program) for program in _PROGRAMS)
        if _inside(field, problem.field) and (problem.field != "trial" or about_program):
            return True
    return False


def _inside(field: str, outer: str) -> bool:
    return field == outer or field.startswith((f"{outer}.", f"{outer}["))


def _place(problem: Problem) -> int:
    return _FIELD_ORDER.get(problem.field.split(".")[0].split("[")[0], len(_FIELD_ORDER))
