"""The command line in this process, on a home of its own."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from hpo_command import Ended, Hpo
from recorded_study import RecordedStudy, complete_study

from hpo_tasks.cli import main


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An HPO_HOME that does not exist yet; nothing of the caller's environment shines through."""
    for name in ("HPO_STUDY_DB", "HPO_STORE", "HPO_DATA", "HPO_DAGS", "HPO_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HPO_PORT", "0")  # `hpo up --port` sets it in this process
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("HPO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def hpo(home: Path, capsys: pytest.CaptureFixture[str]) -> Hpo:
    """`hpo(*arguments)` runs the command line as a shell would see it."""

    def run(*arguments: object) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def kept_home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RecordedStudy]:
    """A home with one complete study, for all tests that only read."""
    home = tmp_path_factory.mktemp("kept") / "home"
    return home, complete_study(home)


@pytest.fixture
def recorded(
    home: Path, kept_home: tuple[Path, RecordedStudy], monkeypatch: pytest.MonkeyPatch
) -> RecordedStudy:
    """The study of `complete_study`, in a home that must not be changed."""
    del home  # its clean environment comes first
    monkeypatch.setenv("HPO_HOME", str(kept_home[0]))
    return kept_home[1]
