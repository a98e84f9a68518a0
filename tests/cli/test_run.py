"""`hpo run` up to the moment where Airflow takes over; the loop itself is tested in tests/flow."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hpo_command import Hpo
from recorded_study import SPEC

from hpo_tasks.cli.data import days_wanted
from hpo_tasks.cli.run import Wish, attach, due_interval, read_conf
from hpo_tasks.errors import InputError
from hpo_tasks.spec import Trust, validate

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
LAST = ("2026-01-30T02:00:00Z", "2026-01-31T02:00:00Z")


@pytest.fixture
def spec_file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(SPEC))
    return path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "budget.trails=4"], "budget.trails: unknown field"),
        (["--set", "budget.trials=0"], "budget.trials: must be at least 1, got 0"),
        (["--set", "budget.trials=100000"], "budget.trials: must be at most"),
        (["--set", "budget.trials"], "must be key=value"),
        (["--set", "batch_size=2", "--set", "batch_size=3"], "--set batch_size: given twice"),
        (["--set", "optimizer.sampler=tpee"], "did you mean `tpe`?"),
    ],
)
def test_a_wrong_override_starts_nothing(
    hpo: Hpo, home: Path, spec_file: Path, arguments: list[str], message: str
) -> None:
    ended = hpo("run", spec_file, *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert not home.exists()


def test_a_wrong_file_starts_nothing(hpo: Hpo, home: Path, spec_file: Path) -> None:
    spec_file.write_text(json.dumps({**SPEC, "batch_size": 0, "owner": 7}))
    ended = hpo("run", spec_file, "--json")
    assert (ended.code, ended.out) == (2, "")
    assert len(ended.err.splitlines()) == 2
    assert not home.exists()
    assert hpo("run", spec_file.parent / "missing.yaml").code == 2
    assert not home.exists()


def test_a_folder_without_dag_files_is_named(
    hpo: Hpo, home: Path, spec_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HPO_DAGS", str(tmp_path / "nowhere"))
    ended = hpo("run", spec_file)
    assert ended.code == 2
    assert str(tmp_path / "nowhere") in ended.err
    assert not home.exists()


def test_conf_is_what_the_trigger_form_would_send() -> None:
    conf = read_conf(["budget.trials=20", "optimizer.sampler=random"], 3, "try")
    assert conf == {"budget.trials": 20, "optimizer.sampler": "random", "epoch": 3, "note": "try"}
    assert read_conf([], None, None) == {}
    assert read_conf([], 0, "") == {"epoch": 0, "note": ""}


def test_a_run_that_is_going_on_is_followed_if_it_is_the_one_asked_for() -> None:
    def going_on(conf: Mapping[str, Any] | None) -> dict[str, Any]:
        return {"dag_run_id": "scheduled__1", "conf": conf}

    asked = {"budget.trials": 4, "epoch": 1}
    for run, conf in ((going_on(None), {}), (going_on(asked), {}), (going_on(asked), dict(asked))):
        assert attach(run, Wish(Path("mine.yaml"), conf)) is run
    for run, conf in (
        (going_on(None), asked),
        (going_on(asked), {"epoch": 1}),
        (going_on({"epoch": 2}), {"epoch": 1}),
    ):
        with pytest.raises(InputError, match=r"scheduled__1.*hpo run mine\.yaml"):
            attach(run, Wish(Path("mine.yaml"), conf))


@pytest.mark.parametrize(
    ("changes", "interval", "expected"),
    [
        ({"schedule": "0 2 * * *"}, LAST, LAST),
        ({"schedule": "0 2 * * *"}, ("2026-01-31T02:00:00Z", "2026-02-01T02:00:00Z"), None),
        ({"schedule": "0 2 * * *", "catchup": True, "start_date": "2026-01-01"}, LAST, None),
        ({"schedule": "0 2 * * *"}, (None, None), None),
        ({}, LAST, None),
    ],
    ids=["due", "has a run", "catches up", "paused for good", "no schedule"],
)
def test_a_first_run_takes_the_last_complete_interval_before_the_scheduler_does(
    changes: dict[str, Any], interval: tuple[str | None, str | None], expected: tuple[str, str] | None
) -> None:
    spec = validate({**SPEC, **changes}, trust=Trust.FILE)
    dag = {"next_dagrun_data_interval_start": interval[0], "next_dagrun_data_interval_end": interval[1]}
    assert due_interval(dag, spec, NOW) == expected


@pytest.mark.parametrize(
    ("start", "end", "days", "expected"),
    [
        (None, None, None, ("2026-01-28", "2026-01-30")),
        (None, None, 1, ("2026-01-30", "2026-01-30")),
        (None, "2026-01-10", 5, ("2026-01-06", "2026-01-10")),
        ("2026-01-01", None, 5, ("2026-01-01", "2026-01-05")),
        ("2026-01-01", None, None, ("2026-01-01", "2026-01-30")),
        ("2026-01-01", "2026-01-02", None, ("2026-01-01", "2026-01-02")),
    ],
)
def test_days_of_data(
    start: str | None, end: str | None, days: int | None, expected: tuple[str, str]
) -> None:
    first, last = (None if day is None else date.fromisoformat(day) for day in (start, end))
    assert tuple(map(str, days_wanted(first, last, days, NOW.date()))) == expected


def test_days_that_contradict_each_other() -> None:
    day = date(2026, 1, 1)
    with pytest.raises(InputError, match="--days"):
        days_wanted(day, day, 3, NOW.date())
    with pytest.raises(InputError, match="--start"):
        days_wanted(date(2026, 1, 31), None, None, NOW.date())


def test_data_writes_below_the_home(hpo: Hpo, home: Path) -> None:
    assert hpo("data", "house_prices", "--start", "2026-01-02", "--end", "2026-01-01").code == 2
    assert hpo("data", "house_prices", "--start", "yesterday").code == 2
    assert not home.exists()
    ended = hpo("data", "house_prices", "--start", "2026-01-01", "--days", "1", "--json")
    assert ended.code == 0
    assert json.loads(ended.out) == [str(home / "data" / "house_prices" / "2026-01-01" / "train.parquet")]
    assert Path(json.loads(ended.out)[0]).is_file()
