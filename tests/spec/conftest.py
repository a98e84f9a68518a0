"""What the tests of the study file share."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the module beside this file

from small_study import document

from hpo_tasks.errors import SpecError
from hpo_tasks.spec import StudySpec, Trust, parse, validate


@pytest.fixture(autouse=True)
def no_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests do not depend on how this machine is deployed."""
    for name in ("HPO_ALLOWED_CLASSES", "HPO_ALLOW_LOCAL_ADHOC", "HPO_ALLOWED_S3"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def study() -> Callable[..., StudySpec]:
    """Makes a valid spec; keyword arguments replace top-level fields."""
    return lambda **changes: validate(document(**changes), trust=Trust.FILE)


@pytest.fixture
def problems() -> Callable[..., list[str]]:
    """The lines that a user sees for a study: changes of the small one by keyword, or a whole document."""

    def lines(data: object = None, *, trust: Trust = Trust.FILE, **changes) -> list[str]:
        try:
            validate(document(**changes) if data is None else data, trust=trust)
        except SpecError as error:
            return [str(problem) for problem in error.problems]
        return []

    return lines


@pytest.fixture
def problems_of_text() -> Callable[..., list[str]]:
    """The lines that a user sees for a text in YAML or JSON."""

    def lines(text: bytes | str, format: str = "yaml") -> list[str]:  # noqa: A002 - as in the tested function
        try:
            parse(text, format=format, trust=Trust.FILE)
        except SpecError as error:
            return [str(problem) for problem in error.problems]
        return []

    return lines
