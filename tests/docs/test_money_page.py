"""docs/money.md says what the code does: its examples pass, its tables have every field and the figures that come out."""

import re
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from hpo_tasks.prices.table import NoPrice, load_prices, parse_prices
from hpo_tasks.report.text import duration
from hpo_tasks.spec import plan_file
from hpo_tasks.spec.model import Resources
from hpo_tasks.spec.reader import read
from hpo_tasks.study.cost import usd_text
from hpo_tasks.study.machine_choice import StudyPlan, forecast, recommend
from hpo_tasks.study.trial_times import MeasuredTimes

PAGE = (Path(__file__).resolve().parents[2] / "docs/money.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"^```yaml\n# (\w+)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL))
PLACES = {
    plan_file.PlanFile: "",
    plan_file.MachineChoice: "machines[].",
    plan_file.Measured: "measured[].",
}
WORDS = {"that study's", "`budget.trials`", "`budget.wall_clock`", "none"}
"""Defaults that the study file or nothing stands for: None in the model."""


def rows(heading: str) -> list[list[str]]:
    """Cells of the table whose first column has this heading."""
    lines = PAGE[PAGE.index(f"| {heading} |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def written_fields():
    """Field as written → the model's field."""
    return {
        prefix + (field.alias or name): field
        for cls, prefix in PLACES.items()
        for name, field in cls.model_fields.items()
        if field.annotation is not None and (field.alias or name) not in ("machines", "measured")
    }


def test_the_page_has_every_field_of_a_plan_and_no_other():
    assert {row[0].strip("`") for row in rows("field")} == set(written_fields())


@pytest.mark.parametrize("row", rows("field"), ids=lambda row: row[0])
def test_defaults(row):
    field, default = written_fields()[row[0].strip("`")], row[1]
    if default == "required":
        assert field.is_required()
    elif default in WORDS:
        assert field.get_default() is None
    else:
        written = read(default.strip("`"), format="yaml")
        assert TypeAdapter(field.rebuild_annotation()).validate_python(written) == field.get_default()


def test_the_example_of_a_plan_gives_the_table():
    options = plan_file.parse_plan(read(EXAMPLES["plan"], format="yaml"))
    study = StudyPlan(
        8, 4, Resources(), options.region, options.round_overhead_s, options.startup_s, options.parallel_share
    )
    measured = [MeasuredTimes(each.threads, each.seconds, each.machine) for each in options.measured]
    forecasts = [forecast(study, choice, measured, load_prices()) for choice in options.machines]
    chosen = recommend(forecasts, options.deadline_s).forecast
    found = [
        [
            f"**{each.name}**" if each is chosen else each.name,
            duration(float(each.wall_s)),
            f"{each.idle_share:.0%}",
            usd_text(each.cost_usd),
        ]
        for each in forecasts
    ]
    assert rows("machines") == found


def test_the_example_of_prices_is_one():
    table = parse_prices(read(EXAMPLES["prices"], format="yaml"), "page").over(load_prices())
    assert table.price("m5.4xlarge", "eu-west-1", "spot").usd_per_hour == Decimal("0.25")
    assert isinstance(table.price("z9.large", "eu-west-1", "on_demand"), NoPrice)
    assert table.spec("z9.large").gpus == 1


def test_the_example_of_prices_show_is_what_the_table_says():
    price = load_prices().price("m5.4xlarge", "us-east-1", "on_demand")
    assert f"0.7680?  0.3072?  {price.as_of}" in PAGE
    assert (price.usd_per_hour, price.verified) == (Decimal("0.768"), False)
