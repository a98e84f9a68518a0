"""`hpo plan`: the table, the recommendation, and measured times out of an earlier study."""

import json
from pathlib import Path

import pytest
from hpo_command import Hpo
from recorded_study import SPEC, RecordedStudy

MACHINES = [
    {"type": "m5.24xlarge", "threads": 96},
    {"type": "m5.4xlarge", "threads": 16},
    {"type": "m5.4xlarge", "count": 2, "threads": 16},
]
MEASURED = [
    {"threads": 16, "seconds": [1000, 2000, 1500, 800]},
    {"threads": 96, "seconds": [600, 1200, 900, 480]},
]
TIMES = {"startup": 120, "round_overhead": 30}


@pytest.fixture
def plan(hpo: Hpo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`plan(*options, **fields of the plan file)` on a study of 8 trials in batches of 4."""
    monkeypatch.delenv("HPO_PRICES", raising=False)
    monkeypatch.setenv("COLUMNS", "160")
    spec = tmp_path / "study.json"
    spec.write_text(json.dumps(SPEC))

    def run(*options: str, **fields):
        (tmp_path / "plan.json").write_text(
            json.dumps({"machines": MACHINES, "measured": MEASURED, **TIMES, **fields})
        )
        return hpo("plan", spec, "--options", tmp_path / "plan.json", *options)

    return run


def test_the_table_has_every_choice_and_marks_the_recommended_one(plan):
    ended = plan()
    assert ended.code == 0
    large, small, two = ended.out.splitlines()[2:5]
    assert "1 × m5.24xlarge, 1 slot × 96 threads" in large
    assert "$8.37" in large
    assert "1 h 49 min" in large
    assert "$2.30" in small
    assert two.startswith("*")
    assert "$2.47" in two
    assert "8%" in two
    assert "unverified" in two
    assert ended.out.splitlines()[-3:] == [
        "2 × m5.4xlarge, 1 slot × 16 threads: the best value: the least product of dollars and hours",
        "  1 × m5.24xlarge, 1 slot × 96 threads takes 13 % longer at 3.4 times the price",
        "  1 × m5.4xlarge, 1 slot × 16 threads takes 87 % longer at 93 % of the price",
    ]


def test_json(plan):
    ended = plan("--json")
    document = json.loads(ended.out)
    assert (document["trials"], document["batch_size"], document["deadline_s"]) == (8, 4, None)
    assert [choice["wall_s"] for choice in document["choices"]] == [6540, 10780, 5780]
    assert [round(choice["cost_usd"], 2) for choice in document["choices"]] == [8.37, 2.3, 2.47]
    assert document["choices"][2]["count"] == 2
    assert document["recommended"]["choice"] == 2
    assert len(document["recommended"]["compared"]) == 2
    assert ended.err == ""


def test_a_deadline_changes_the_choice(plan):
    assert json.loads(plan("--json", deadline="4h").out)["recommended"]["choice"] == 1


def test_an_own_price_changes_the_cost(plan, tmp_path, monkeypatch):
    own = {"on_demand": {"usd": "0.384", "as_of": "2026-11-01"}}
    (tmp_path / "own.json").write_text(
        json.dumps({"schema": 1, "prices": {"us-east-1": {"m5.4xlarge": own}}})
    )
    monkeypatch.setenv("HPO_PRICES", str(tmp_path / "own.json"))
    choice = json.loads(plan("--json").out)["choices"][1]
    assert round(choice["cost_usd"], 2) == 1.15
    assert choice["notes"] == []


def test_the_file_that_hpo_prices_names_must_be_there(plan, monkeypatch):
    monkeypatch.setenv("HPO_PRICES", "/nowhere.json")
    ended = plan()
    assert ended.code == 2
    assert "/nowhere.json: cannot be read" in ended.err


def test_times_of_an_earlier_study(plan, recorded: RecordedStudy):
    """Its 5 complete trials took 5 s each, with one thread; its 3 failed ones say nothing."""
    machines = [{"type": "m5.large", "threads": 1}]
    ended = plan("--json", measured=[{"study": recorded.id}], machines=machines, startup=0, round_overhead=0)
    (choice,) = json.loads(ended.out)["choices"]
    assert (choice["trial_s"], choice["wall_s"]) == (5.0, 40.0)


def test_an_earlier_study_without_a_complete_trial_is_refused(plan, home):
    study = RecordedStudy(home)
    study.round(0, ["oom", "oom", "user_error", "oom"])
    ended = plan(measured=[{"study": study.id}])
    assert ended.code == 2
    assert ended.err == "plan.json: measured[0].study: no trial of this study is complete\n"


def test_an_earlier_study_that_took_all_processors_needs_the_number(plan, home):
    study = RecordedStudy(home, trial={"command": ["true"], "resources": {"threads": -1}})
    study.round(0, [0.5, 0.25, 0.1, 0.3])
    ended = plan(measured=[{"study": study.id}])
    assert ended.code == 2
    assert "measured[0].threads: missing" in ended.err
    known = plan("--json", measured=[{"study": study.id, "threads": 16}], machines=MACHINES[1:])
    assert json.loads(known.out)["choices"][0]["trial_s"] == 5.0


def test_no_choice_with_a_price_exits_with_1_and_says_why(plan):
    ended = plan(machines=[{"type": "lab.box", "threads": 16}])
    assert ended.code == 1
    assert "lab.box" in ended.out
    assert "no price" in ended.out
    assert "no choice has a forecast with a price" in ended.err


def test_a_mistake_in_either_file_is_told_with_its_field(plan, hpo: Hpo, tmp_path: Path):
    ended = plan(machnes=[])
    assert (ended.code, ended.err) == (2, "plan.json: machnes: unknown field, did you mean `machines`?\n")
    (tmp_path / "study.json").write_text(json.dumps({**SPEC, "budgett": 1}))
    ended = plan()
    assert (ended.code, ended.err) == (2, "study.json: budgett: unknown field, did you mean `budget`?\n")
