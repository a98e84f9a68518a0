"""Inputs: the run's data interval in the study's time zone, below the deployment's folder."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from hpo_tasks.errors import SpecError
from hpo_tasks.spec import render_inputs

START = datetime(2026, 3, 28, 23, 30, tzinfo=UTC)
END = datetime(2026, 3, 29, 23, 30, tzinfo=UTC)


def rendered(study, template, **changes):
    spec = study(trial={"command": ["a"], "inputs": {"data": template}}, **changes)
    return render_inputs(spec, data_interval_start=START, data_interval_end=END, data_root=Path("/data"))[
        "data"
    ]


@pytest.mark.parametrize(
    ("template", "address"),
    [
        (
            "s3://bucket/prices/{data_interval_start:%Y-%m-%d}/t.parquet",
            "s3://bucket/prices/2026-03-28/t.parquet",
        ),
        ("/d/{data_interval_end:%Y/%m/%d/%H%M%S}", "/d/2026/03/29/233000"),
        ("{data_interval_start:%Y%m%d}-{data_interval_end:%d}.csv", "/data/20260328-29.csv"),
        ("/d/{data_interval_start:week %V of %G, day %j, %%}", "/d/week 13 of 2026, day 087, %"),
        ("prices/train.csv", "/data/prices/train.csv"),
        ("/{{literal}}", "/{literal}"),
        ("/100%/x", "/100%/x"),
        ("file:///d/x", "file:///d/x"),
        ("sklearn:iris", "sklearn:iris"),
        ("данные/поезд.csv", "/data/данные/поезд.csv"),
    ],
)
def test_the_interval_is_filled_in(template, address, study):
    assert rendered(study, template) == address


def test_dates_are_those_of_the_studys_time_zone(study):
    template = "/d/{data_interval_start:%Y-%m-%dT%H}"

    assert rendered(study, template, timezone="Europe/Berlin") == "/d/2026-03-29T00"
    assert rendered(study, template, timezone="America/New_York") == "/d/2026-03-28T19"


def test_relative_paths_need_the_deployments_folder(study):
    spec = study(trial={"command": ["a"], "inputs": {"a": "x.csv", "b": "/y.csv", "c": "z.csv"}})

    with pytest.raises(SpecError) as caught:
        render_inputs(spec, data_interval_start=START, data_interval_end=END, data_root=None)

    assert [problem.field for problem in caught.value.problems] == ["trial.inputs.a", "trial.inputs.c"]
    assert "HPO_DATA" in str(caught.value)


def test_a_moment_without_time_zone_is_a_programming_error(study):
    with pytest.raises(ValueError, match="time zone"):
        render_inputs(study(), data_interval_start=datetime(2026, 1, 1), data_interval_end=END)  # noqa: DTZ001


@pytest.mark.parametrize(
    "template",
    [
        "s3://other/../x", "s3://B/x", "s3://127.0.0.1/x", "s3:///x", "s3://a..b/x", "s3://bucket/a//b", "s3://bucket/a?b",
        "s3://bucket/a#b", "s3://arn:aws:s3:eu:1:accesspoint/x", "arn:aws:s3:::bucket/x", "http://169.254.169.254/latest",
        "https://user:pw@host/x", "ftp://host/x", "file://host/x", "gs://bucket/x", "a\\b", "/a/../../etc/passwd", "~root/x",
        "x\ny", " ", "sklearn:", "sklearn:../iris", "{data_interval_start.year}", "{data_interval_start:%Z}",
        "{data_interval_start:%", "{run_id}", "{data_interval_start:%Y}/{x}",
    ],
)  # fmt: skip
def test_everything_else_is_refused(template, problems):
    lines = problems(trial={"command": ["a"], "inputs": {"data": template}})

    assert lines
    assert all(line.startswith("trial.inputs.data: ") for line in lines)
