"""Tables of trials: order, ranks, failures, and text that is not ours."""

from collections.abc import Mapping
from typing import Any

import pytest
from rich.console import Console, RenderableType

from hpo_tasks.report.documents import trials_csv
from hpo_tasks.report.leaderboard import failures_table, leaderboard, parameters_table, trials_table
from hpo_tasks.spec.model import Objective
from hpo_tasks.study.records import StudyHeader, TrialRecord

LOSS = Objective(metric="loss", direction="minimize")
SPEED = Objective(metric="speed", direction="maximize")


def header(*objectives: Objective) -> StudyHeader:
    return StudyHeader(
        study_id="a" * 26, name="x", dag_id="hpo_x", run_id="manual__1", epoch=0, deployment="test", identity="",
        objectives=objectives,
    )  # fmt: skip


def trial(number: int, values: Mapping[str, float] | None, **changes: Any) -> TrialRecord:
    state = "complete" if values is not None else "failed"
    settings: dict[str, Any] = {"params": {"x": number / 7}, "attempts": 1, "duration_s": 3.0, **changes}
    return TrialRecord(number=number, round=0, slot=number, state=state, seed=1, values=values, **settings)


def rendered(part: RenderableType, width: int = 100) -> list[str]:
    console = Console(width=width, markup=False, emoji=False, highlight=False)
    with console.capture() as captured:
        console.print(part)
    return [line.rstrip() for line in captured.get().splitlines()]


def columns(part: RenderableType) -> list[list[str]]:
    return [line.split() for line in rendered(part) if line and line[0] != "─"]


def test_the_best_come_first_and_failed_ones_not_at_all() -> None:
    trials = [
        trial(0, {"loss": 0.5}),
        trial(1, None, cls="oom"),
        trial(2, {"loss": 0.25}),
        trial(3, {"loss": 1.0}),
    ]
    rows = columns(leaderboard(header(LOSS), trials))
    assert rows[0] == ["rank", "trial", "loss", "tries", "took", "parameters"]
    assert [row[:3] for row in rows[1:]] == [["1", "2", "0.25"], ["2", "0", "0.5"], ["3", "3", "1"]]
    assert len(columns(leaderboard(header(LOSS), trials, top=2))) == 3


def test_a_trial_that_misses_a_threshold_has_no_rank() -> None:
    trials = [trial(0, {"loss": 0.1}, violations={"latency_ms.max": 3.0}), trial(1, {"loss": 0.5})]
    assert [row[:2] for row in columns(leaderboard(header(LOSS), trials))[1:]] == [["1", "1"], ["-", "0"]]


def test_the_front_of_several_objectives_is_marked() -> None:
    trials = [
        trial(0, {"loss": 1, "speed": 1}),
        trial(1, {"loss": 2, "speed": 5}),
        trial(2, {"loss": 3, "speed": 4}),
    ]
    assert [row[0] for row in columns(leaderboard(header(LOSS, SPEED), trials))[1:]] == ["1*", "2*", "3"]


def test_failures_are_grouped_and_the_commonest_come_first() -> None:
    trials = [trial(n, None, cls="user_error", reason="exit code 3") for n in range(3)]
    trials += [trial(3, None, cls="oom", reason="memory limit"), trial(4, {"loss": 1.0})]
    assert [line.split() for line in rendered(failures_table(trials))] == [
        ["3", "user_error", "exit", "code", "3"],
        ["1", "oom", "memory", "limit"],
    ]


def test_parameters_are_shown_in_full() -> None:
    third = trial(0, {"loss": 1.0}, params={"x": 1 / 3, "kind": "a b", "depth": 6, "flag": None})
    assert [line.split(maxsplit=1) for line in rendered(parameters_table(third))] == [
        ["x", "0.3333333333333333"],
        ["kind", '"a b"'],
        ["depth", "6"],
        ["flag", "null"],
    ]


@pytest.mark.parametrize("width", [30, 80, 200])
def test_no_table_is_wider_than_the_terminal(width: int) -> None:
    params = {f"parameter_{number}": "[red]" * 20 for number in range(50)}
    trials = [
        trial(0, {"loss": 1.0}, params=params),
        trial(1, None, cls="user_error", reason="x" * 500, params=params),
    ]
    for table in (
        leaderboard(header(LOSS), trials),
        trials_table(header(LOSS), trials),
        failures_table(trials),
    ):
        lines = rendered(table, width)
        assert max(map(len, lines)) <= width


def test_csv_columns_are_the_union_of_all_parameters() -> None:
    trials = [trial(0, {"loss": 0.1}, params={"x": 1}), trial(1, {"loss": 0.2}, params={"y": True})]
    first, *rows = trials_csv(header(LOSS), trials).splitlines()
    assert first.startswith("number,run,round,slot,state,param.x,param.y,value.loss,")
    assert [row.split(",")[5:8] for row in rows] == [["1", "", "0.1"], ["", "true", "0.2"]]


def test_a_number_comes_back_from_the_csv_as_it_was() -> None:
    value = 0.1 + 0.2
    text = trials_csv(header(LOSS), [trial(0, {"loss": value})])
    assert float(text.splitlines()[1].split(",")[6]) == value
