"""A changed study file gives the DAG files a new time, which is what Airflow looks at."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hpo_tasks.flow.embedded import study_watch
from hpo_tasks.flow.embedded.study_watch import AGAIN, StudyWatch

LONG_AGO = 1_000_000_000


@pytest.fixture
def dags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DAGs folder with one study, and one more in `HPO_STUDIES`; all of it old."""
    outside = tmp_path / "outside"
    monkeypatch.setenv("HPO_STUDIES", str(outside))
    files = ["hpo_studies.py", "hpo_broken_studies.py", "hpo_adhoc.py", "studies/a.yaml", "../outside/b.yaml"]
    for name in files:
        path = tmp_path / "dags" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (LONG_AGO, LONG_AGO))
    return tmp_path / "dags"


def touched(dags: Path) -> set[str]:
    """Names of the DAG files with a new time, which they lose."""
    found = {path.name for path in dags.glob("*.py") if path.stat().st_mtime != LONG_AGO}
    for name in found:
        os.utime(dags / name, (LONG_AGO, LONG_AGO))
    return found


@pytest.mark.parametrize(
    "change",
    [
        lambda dags: (dags / "studies" / "a.yaml").write_text("x"),
        lambda dags: (dags / "studies" / "a.yaml").unlink(),
        lambda dags: (dags / "studies" / "new.json").touch(),
        lambda dags: (dags / ".." / "outside" / "b.yaml").write_text("x"),
    ],
    ids=["edited", "deleted", "new", "elsewhere"],
)
def test_a_change_is_seen_at_once_and_once_more_later(dags: Path, change: Callable[[Path], object]) -> None:
    watch = StudyWatch(dags)
    watch.look()
    assert touched(dags) == set()

    change(dags)

    seen = []
    for _ in range(2 * AGAIN + 2):
        watch.look()
        seen.append(touched(dags))
    studies = {"hpo_studies.py", "hpo_broken_studies.py"}
    assert {number: found for number, found in enumerate(seen) if found} == {0: studies, AGAIN: studies}


def test_an_edit_behind_a_link_counts(dags: Path, tmp_path: Path) -> None:
    """`hpo run` links study files from elsewhere."""
    (tmp_path / "c.yaml").touch()
    (dags / "studies" / "c.yaml").symlink_to(tmp_path / "c.yaml")
    watch = StudyWatch(dags)

    (tmp_path / "c.yaml").write_text("x")

    watch.look()
    assert touched(dags)


def test_a_folder_that_vanishes_ends_nobody(dags: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look whether it is there and the look into it: the supervisor goes on."""

    def vanished(_: list[Path]) -> dict[str, list[Path]]:
        raise FileNotFoundError(dags / "studies")

    watch = StudyWatch(dags)
    with monkeypatch.context() as patch:
        patch.setattr(study_watch, "study_files", vanished)
        watch.look()
    touched(dags)
    watch.look()
    assert touched(dags)  # it is there again


def test_what_is_no_study_file_does_not_count(dags: Path) -> None:
    watch = StudyWatch(dags)
    (dags / "studies" / "notes.txt").touch()
    (dags / "studies" / ".a.yaml.swp").touch()
    (dags / "studies" / "gone.yaml").symlink_to(dags / "nowhere")
    watch.look()
    assert touched(dags) == set()
