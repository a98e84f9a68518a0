"""The options of `hpo plan`: what a user may write, and the line for each mistake."""

import pytest

from hpo_tasks.errors import SpecError
from hpo_tasks.spec.plan_file import load_plan, parse_plan
from hpo_tasks.spec.reader import read

GOOD = """
machines:
  - {type: m5.24xlarge, slots: 8, threads: 12}
  - {type: m5.4xlarge, count: 2, slots: 2, threads: 8, market: spot}
measured:
  - {threads: 12, seconds: [310, 295.5]}
  - {study: house_prices, machine: m5.4xlarge}
deadline: 6h
startup: 0
round_overhead: 45s
trials: 100
parallel_share: 0.9
"""


def lines(**changes):
    """The problems of the good file with other top-level fields; `...` removes one."""
    data = {**read(GOOD, format="yaml"), **changes}
    with pytest.raises(SpecError) as error:
        parse_plan({key: value for key, value in data.items() if value is not ...})
    return [str(problem) for problem in error.value.problems]


def test_a_good_file(tmp_path):
    file = tmp_path / "plan.yaml"
    file.write_text(GOOD)
    plan = load_plan(file)
    assert [(each.count, each.type, each.slots, each.threads, each.market) for each in plan.machines] == [
        (1, "m5.24xlarge", 8, 12, "on_demand"),
        (2, "m5.4xlarge", 2, 8, "spot"),
    ]
    assert plan.measured[0].seconds == (310, 295.5)
    assert plan.measured[1].study == "house_prices"
    assert (plan.deadline_s, plan.startup_s, plan.round_overhead_s) == (21600, 0, 45)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"machnes": []}, "machnes: unknown field, did you mean `machines`?"),
        ({"machines": ...}, "machines: missing"),
        ({"machines": []}, "machines: must hold at least 1, got 0"),
        ({"machines": [{"type": "m5.large"}]}, "machines[0].threads: missing"),
        (
            {"machines": [{"type": "m5.large", "thread": 1, "threads": 1}]},
            "machines[0].thread: unknown field, did you mean `threads`?",
        ),
        (
            {"machines": [{"type": "m5.large", "threads": 1, "market": "spott"}]},
            'machines[0].market: must be one of on_demand, spot, got "spott", did you mean `spot`?',
        ),
        (
            {"machines": [{"type": "m5.large", "threads": 0}]},
            "machines[0].threads: must be at least 1, got 0",
        ),
        (
            {"machines": [{"type": "ml.m5.large", "slots": 2, "threads": 1}]},
            (
                "machines[0].slots: must be 1 on SageMaker, where each trial is a job of its own, got 2: "
                "count says how many run side by side"
            ),
        ),
        (
            {"measured": [{"threads": 1}]},
            "measured[0]: needs either seconds (a list) or study, the name of an earlier one",
        ),
        (
            {"measured": [{"threads": 1, "seconds": [1], "study": "x"}]},
            "measured[0]: needs either seconds (a list) or study, the name of an earlier one",
        ),
        (
            {"measured": [{"seconds": [1]}]},
            "measured[0].threads: missing: say with how many threads these trials ran",
        ),
        ({"measured": [{"threads": 1, "seconds": [0]}]}, "measured[0].seconds[0]: must be > 0, got 0"),
        ({"measured": [{"threads": 1, "seconds": 9}]}, "measured[0].seconds: must be a list, got 9"),
        (
            {"measured": [{"threads": 1, "secs": [1]}]},
            "measured[0].secs: unknown field, did you mean `seconds`?",
        ),
        (
            {"deadline": "soon"},
            'deadline: must be a duration such as 6h, 30m, 1h30m or a number of seconds, got "soon"',
        ),
        ({"startup": -1}, "startup: must be between 1s and 365d, got -1"),
        ({"parallel_share": 1.5}, "parallel_share: must be at most 1, got 1.5"),
        ({"trials": 0}, "trials: must be at least 1, got 0"),
    ],
)
def test_a_mistake_and_its_line(changes, line):
    assert lines(**changes) == [line]


def test_all_mistakes_at_once():
    assert len(lines(trials=0, deadline="soon", regio="x")) == 3


@pytest.mark.parametrize(
    ("name", "text"), [("plan.txt", GOOD), ("plan.yaml", "- a"), ("plan.yaml", ""), ("plan.json", "{")]
)
def test_what_is_no_plan_file_is_refused_with_its_name(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(SpecError, match=f"^{name}: "):
        load_plan(tmp_path / name)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"nowhere.yaml: cannot be read: No such file"):
        load_plan(tmp_path / "nowhere.yaml")
