"""Exit codes, help, and what a person sees when something goes wrong."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hpo_command import Hpo

import hpo_tasks.cli.reading

COMMANDS = ["validate", "run", "up", "down", "studies", "status", "trials", "best", "export", "prune", "data"]
READING = [["studies"], ["status", "x"], ["trials", "x"], ["best", "x"], ["export", "x", "DIR"], ["prune"]]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(hpo: Hpo, command: str) -> None:
    ended = hpo(command, "--help")
    assert ended.code == 0
    assert ended.out.startswith(f"Usage: hpo {command}")


def test_the_help_names_every_command(hpo: Hpo) -> None:
    words = hpo("--help").out.split()
    assert [command for command in COMMANDS if command not in words] == []


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["validate"], ["studies", "--limit", "many"], ["run", "a", "--epoch", "-1"]]
)
def test_a_wrong_command_line_exits_with_2(hpo: Hpo, arguments: list[str]) -> None:
    ended = hpo(*arguments)
    assert ended.code == 2
    assert "Traceback" not in ended.err
    assert ended.err != ""


@pytest.mark.parametrize("arguments", READING, ids=lambda arguments: arguments[0])
def test_without_a_study_database_every_command_says_so_and_creates_nothing(
    hpo: Hpo, home: Path, arguments: list[str]
) -> None:
    ended = hpo(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert "no study database at" in ended.err
    assert not home.exists()
    assert not Path("DIR").exists()


def test_there_is_nothing_to_stop(hpo: Hpo, home: Path) -> None:
    ended = hpo("down")
    assert (ended.code, ended.err) == (0, "no embedded Airflow runs\n")
    assert not home.exists()


def test_a_port_that_is_taken_is_named(hpo: Hpo, home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = hpo("up", "--port", port)
    assert ended.code == 2
    assert f"port {port} is in use" in ended.err


def test_a_database_that_does_not_answer_exits_with_1_and_hides_its_password(
    hpo: Hpo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPO_STUDY_DB", "postgresql://hpo:s3cret@127.0.0.1:1/studies")
    ended = hpo("studies")
    assert ended.code == 1
    assert "127.0.0.1" in ended.err
    assert "s3cret" not in ended.err + ended.out
    assert "Traceback" not in ended.err


def test_an_address_that_is_no_database_exits_with_2(hpo: Hpo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_STUDY_DB", "mysql://root:s3cret@db/x")
    ended = hpo("studies")
    assert ended.code == 2
    assert "s3cret" not in ended.err


def test_an_unexpected_error_is_one_line_unless_debugging(hpo: Hpo, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("first line\nsecond line")

    monkeypatch.setattr(hpo_tasks.cli.reading, "studies", broken)
    ended = hpo("studies")
    assert ended.code == 1
    assert ended.err == "unexpected ZeroDivisionError: first line (HPO_DEBUG=1 shows the traceback)\n"
    monkeypatch.setenv("HPO_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        hpo_tasks.cli.main(["studies"])


def test_help_needs_nothing_heavy() -> None:
    code = "import sys, hpo_tasks.cli.app as app; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert {"optuna", "sqlalchemy", "boto3", "numpy", "pandas", "airflow", "httpx"}.isdisjoint(loaded)


def test_the_installed_command_is_this_one() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "hpo", "--help"], capture_output=True, text=True, check=True
    )
    assert "Usage: hpo" in done.stdout
