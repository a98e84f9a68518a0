"""`hpo export`: a whole folder or nothing."""

import json
from pathlib import Path

import pytest
from hpo_command import Hpo
from recorded_study import RecordedStudy, complete_study


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_an_export_holds_everything(hpo: Hpo, recorded: RecordedStudy, tmp_path: Path) -> None:
    target = tmp_path / "new" / "export"
    ended = hpo("export", recorded.id, target, "--json")
    assert ended.code == 0
    expected = {"study": recorded.id, "folder": str(target), "trials": 8, "model_files": 1, "logs": 8}
    assert json.loads(ended.out) == expected
    logs = {
        f"logs/round-{round_:03d}-slot-{slot:04d}-attempt-1.txt" for round_ in (0, 1) for slot in range(4)
    }
    files = {"spec.json", "trials.json", "trials.csv", "summary.json", "model/weights.json"}
    assert tree(target) == files | logs
    assert json.loads((target / "trials.json").read_text()) == json.loads(
        hpo("trials", recorded.id, "--json").out
    )
    assert (target / "trials.csv").read_text() == hpo("trials", recorded.id, "--csv").out
    assert json.loads((target / "model" / "weights.json").read_text()) == {"number": 4}
    assert json.loads((target / "summary.json").read_text())["best"][0]["number"] == 4


def test_the_exported_spec_is_a_study_file(hpo: Hpo, recorded: RecordedStudy, tmp_path: Path) -> None:
    hpo("export", recorded.id, tmp_path / "export")
    assert hpo("validate", tmp_path / "export" / "spec.json").code == 0


def test_a_running_study_is_exported_with_what_there_is(hpo: Hpo, home: Path, tmp_path: Path) -> None:
    study = RecordedStudy(home)
    study.round(0, [0.5, 0.25, "oom", 1.0])
    assert hpo("export", study.id, tmp_path / "export").code == 0
    assert json.loads((tmp_path / "export" / "summary.json").read_text())["state"] == "running"


def test_a_folder_with_something_in_it_is_left_alone(
    hpo: Hpo, recorded: RecordedStudy, tmp_path: Path
) -> None:
    target = tmp_path / "export"
    target.mkdir()
    (target / "mine.txt").write_text("mine")
    ended = hpo("export", recorded.id, target)
    assert ended.code == 2
    assert "--force" in ended.err
    assert tree(target) == {"mine.txt"}


def test_force_replaces_an_earlier_export_and_nothing_else(
    hpo: Hpo, recorded: RecordedStudy, tmp_path: Path
) -> None:
    target, outside = tmp_path / "export", tmp_path / "outside"
    hpo("export", recorded.id, target)
    fresh = tree(target)
    outside.write_text("outside")
    (target / "mine.txt").write_text("mine")
    (target / "trials.json").unlink()
    (target / "trials.json").symlink_to(outside)
    (target / "model" / "old.bin").write_text("of an earlier best")
    assert hpo("export", recorded.id, target, "--force").code == 0
    assert tree(target) == fresh | {"mine.txt"}
    assert outside.read_text() == "outside"
    assert not (target / "trials.json").is_symlink()


def test_a_file_in_the_place_of_the_folder_is_refused(
    hpo: Hpo, recorded: RecordedStudy, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    assert hpo("export", recorded.id, tmp_path / "file", "--force").code == 2
    ended = hpo("export", recorded.id, tmp_path / "file" / "below")
    assert ended.code == 1
    assert "cannot be written" in ended.err
    assert (tmp_path / "file").read_text() == "mine"


def test_a_store_that_fails_on_the_way_leaves_nothing_half_written(
    hpo: Hpo, home: Path, tmp_path: Path
) -> None:
    recorded = complete_study(home)
    summary = home / "store" / "studies" / recorded.id / "summary.json"
    summary.unlink()
    summary.symlink_to("/etc/hostname")
    ended = hpo("export", recorded.id, tmp_path / "export")
    assert ended.code == 1
    assert "Traceback" not in ended.err
    assert list((tmp_path / "export").iterdir()) == []


@pytest.mark.parametrize("name", ["=cmd", "+1", "-1", "@x", "\tx"])
def test_no_cell_of_the_csv_is_a_formula(hpo: Hpo, home: Path, tmp_path: Path, name: str) -> None:
    choices = [f"{name}|' /C calc'!A0", "b"]
    study = RecordedStudy(
        home, search={"kind": {"type": "categorical", "choices": choices}}, optimizer={"sampler": "grid"}
    )
    study.round(0, [-0.5, "user_error"], reason=f"{name}HYPERLINK()")
    hpo("export", study.id, tmp_path / "export")
    text = (tmp_path / "export" / "trials.csv").read_text()
    assert f"'{name}|" in text
    assert f"'{name}HYPERLINK()" in text
    assert ",-0.5," in text
