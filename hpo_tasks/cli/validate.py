"""`hpo validate`: every problem of every file at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from hpo_tasks.cli.terminal import print_json, show
from hpo_tasks.errors import Problem, SpecError
from hpo_tasks.flow.repetition import with_rounds
from hpo_tasks.report.text import plain
from hpo_tasks.spec import StudySpec, load


@dataclass(frozen=True, slots=True)
class Checked:
    """A study file and what came of reading it: a spec or problems."""

    file: Path
    spec: StudySpec | None
    problems: tuple[Problem, ...]


def validate(files: Sequence[Path], *, as_json: bool) -> bool:
    """Check study files and print what is wrong. Returns whether all are good."""
    checked = [_check(file) for file in files]
    if as_json:
        print_json([_document(result) for result in checked])
    else:
        for result in checked:
            for line in _lines(result, named=len(files) > 1):
                show(line)
    return all(result.spec is not None for result in checked)


def _check(file: Path) -> Checked:
    try:
        return Checked(file, with_rounds(load(file)), ())
    except SpecError as error:
        return Checked(file, None, error.problems)


def _lines(result: Checked, *, named: bool) -> list[Text]:
    file = plain(str(result.file))
    if result.spec is None:
        # A problem of the document as a whole has no field, so it needs the file's name to be a sentence.
        return [
            Text((f"{file}: " if named or not problem.field else "") + plain(str(problem)), style="red")
            for problem in result.problems
        ]
    spec = result.spec
    parameters = f"{len(spec.search)} parameter{'s' * (len(spec.search) != 1)}"
    trials = f"{spec.budget.trials} trial{'s' * (spec.budget.trials != 1)}"
    return [Text(f"{file}: ok — {plain(spec.name)}, {parameters}, {trials}")]


def _document(result: Checked) -> dict[str, Any]:
    problems = [{"field": problem.field, "message": problem.message} for problem in result.problems]
    return {"file": str(result.file), "ok": result.spec is not None, "problems": problems}
