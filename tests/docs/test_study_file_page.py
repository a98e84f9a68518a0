"""docs/study-file.md says what the code does, and no link in the documentation leads nowhere."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from hpo_tasks.spec import Trust, model, parse, validate
from hpo_tasks.spec.reader import read

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/study-file.md").read_text(encoding="utf-8")

# Where the page has each model's fields: the heading of the tables ("" for any), and what stands before a field's name.
PLACES: dict[type[model._Model], tuple[str, str]] = {
    model.StudySpec: ("", ""),
    model.Objective: ("", "objective."),
    model.Threshold: ("", "thresholds.METRIC."),
    model._Parameter: ("Every type", ""),
    model.FloatParameter: ("float", ""),
    model.IntParameter: ("int", ""),
    model.CategoricalParameter: ("categorical", ""),
    model.FixedParameter: ("fixed", ""),
    model.Optimizer: ("", "optimizer."),
    model.Budget: ("", "budget."),
    model.MetricPattern: ("", "trial.metrics[]."),
    model.SecretRef: ("", "trial.secrets.NAME."),
    model.Code: ("", "trial.code."),
    model.Resources: ("", "trial.resources."),
    model.Trial: ("", "trial."),
    model.LocalBackend: ("", "backend."),
    model.BatchBackend: ("Trials on AWS Batch", "backend."),
    model.StoreRef: ("", "store."),
    model.Keep: ("", "keep."),
}
NEVER_WRITTEN = {model.UnreadParameter}
PARAMETER_HEADINGS = {heading for heading, _ in PLACES.values() if heading}


def table_rows() -> Iterator[tuple[str, str, str]]:
    """(heading, field, default) of every row in a table of fields."""
    heading, fields = "", False
    for line in PAGE.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        cells = [cell.strip() for cell in line.strip("|").split(" | ")] if line.startswith("|") else []
        if cells[:3] == ["field", "type", "default"]:
            fields = True
        elif not cells:
            fields = False
        elif fields and (name := re.fullmatch(r"`(.+)`", cells[0])):
            yield heading if heading in PARAMETER_HEADINGS else "", name[1], cells[2]


DEFAULTS = {(heading, field): default for heading, field, default in table_rows()}


def models_of_the_file() -> set[type[model._Model]]:
    classes = {value for value in vars(model).values() if isinstance(value, type)}
    return {cls for cls in classes if issubclass(cls, model._Model)} - {model._Model} - NEVER_WRITTEN


def written_fields() -> dict[tuple[str, str], FieldInfo]:
    """(heading, field as written) → the model's field."""
    found = {}
    for cls, (heading, prefix) in PLACES.items():
        for name, field in cls.model_fields.items():
            inherited = issubclass(cls, model._Parameter) and name in ("type", "when")
            place = "Every type" if inherited else heading
            found[place, prefix + (field.alias or name)] = field
    return found


def value_of(field: FieldInfo, text: str) -> Any:
    """What a study gets that writes the text for this field."""
    return TypeAdapter(field.rebuild_annotation()).validate_python(read(text, format="yaml"))


def test_every_model_has_a_place_on_the_page():
    assert models_of_the_file() == set(PLACES)


def test_the_page_has_every_field_and_no_other():
    assert DEFAULTS.keys() == written_fields().keys()


@pytest.mark.parametrize("place", written_fields(), ids=lambda place: " ".join(place).strip())
def test_defaults(place):
    field, written = written_fields()[place], DEFAULTS[place]
    default = field.get_default(call_default_factory=True)
    if field.is_required():
        assert written == "required"
    elif isinstance(default, bool | int | float | str):
        assert written.startswith("`")
        assert value_of(field, written.strip("`")) == default
    else:
        assert written == "none"


def examples() -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def is_whole(example: str) -> bool:
    return example.startswith("# whole study\n")


def test_the_page_shows_whole_studies_and_pieces():
    assert {is_whole(example) for example in examples()} == {True, False}


@pytest.mark.parametrize("example", [example for example in examples() if is_whole(example)])
def test_whole_studies_pass(example):
    parse(example, format="yaml", trust=Trust.FILE)


@pytest.mark.parametrize("example", [example for example in examples() if not is_whole(example)])
def test_pieces_pass_within_a_study(example):
    study = {
        "name": "around a piece",
        "objective": {"metric": "rmse", "direction": "minimize"},
        "search": {"x": {"type": "float", "low": 0, "high": 1}},
        "budget": {"trials": 1},
        "trial": {"command": ["./train"]},
    }
    validate({**study, **read(example, format="yaml")}, trust=Trust.FILE)


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    files = [target.split("#")[0] for target in targets if not re.match(r"[a-z]+:|#", target)]
    assert [target for target in files if not (page.parent / target).exists()] == []
