"""`hpo validate`: all problems at once, in words that name the field."""

import json
from pathlib import Path

import pytest
from hpo_command import Hpo
from recorded_study import SPEC


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.json"
    path.write_text(json.dumps(SPEC))
    return path


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.yaml"
    wrong = {
        **SPEC,
        "search": {"learning_rate": {"type": "float", "low": 0, "high": 1.0, "log": True}},
        "budgett": 1,
    }
    path.write_text(json.dumps(wrong))
    return path


def test_a_good_file(hpo: Hpo, good: Path) -> None:
    ended = hpo("validate", good)
    assert (ended.code, ended.out) == (0, f"{good}: ok — Test study, 2 parameters, 8 trials\n")


def test_a_bad_file_shows_all_problems_one_per_line(hpo: Hpo, bad: Path) -> None:
    ended = hpo("validate", bad)
    assert ended.code == 2
    assert ended.out.splitlines() == [
        "search.learning_rate.low: must be > 0 on a log scale, got 0",
        "budgett: unknown field, did you mean `budget`?",
    ]


def test_several_files_are_told_apart(hpo: Hpo, good: Path, bad: Path) -> None:
    ended = hpo("validate", good, bad)
    assert ended.code == 2
    first, second, third = ended.out.splitlines()
    assert first.startswith(f"{good}: ok")
    assert second == f"{bad}: search.learning_rate.low: must be > 0 on a log scale, got 0"
    assert third.startswith(f"{bad}: budgett: ")


def test_json(hpo: Hpo, good: Path, bad: Path) -> None:
    ended = hpo("validate", good, bad, "--json")
    assert ended.code == 2
    first, second = json.loads(ended.out)
    assert first == {"file": str(good), "ok": True, "problems": []}
    assert second["ok"] is False
    assert second["problems"][0] == {
        "field": "search.learning_rate.low",
        "message": "must be > 0 on a log scale, got 0",
    }


@pytest.mark.parametrize("name", ["missing.yaml", "folder.yaml", "binary.yaml", "study.txt", "-dash.yaml"])
def test_a_file_that_cannot_be_read_is_one_line_with_its_name(hpo: Hpo, tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "study.txt").write_text("name: x")
    ended = hpo("validate", "--", tmp_path / name)
    assert ended.code == 2
    assert len(ended.out.splitlines()) == 1
    assert name in ended.out


def test_nothing_in_a_file_is_obeyed_by_the_terminal(hpo: Hpo, tmp_path: Path) -> None:
    path = tmp_path / "hostile.json"
    path.write_text(json.dumps({**SPEC, "\x1b[2J[red]k\n\u202e": 1, "name": "\x1b]0;owned\x07[bold]"}))
    ended = hpo("validate", path)
    assert ended.code == 2
    assert "\x1b" not in ended.out
    assert "\u202e" not in ended.out
    assert "[red]" in ended.out


def test_rounds_are_checked_against_the_airflow_at_hand(
    hpo: Hpo, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is good where rounds run in a loop."""
    good.write_text(json.dumps({**SPEC, "max_rounds": 60}))
    monkeypatch.setenv("HPO_UNROLL_ROUNDS", "1")
    ended = hpo("validate", good)
    assert ended.code == 2
    assert ended.out.startswith("max_rounds: must be at most 50 where rounds are unrolled")
