"""`hpo prune`: what `keep` lets go, in the store and in the ledger."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hpo_command import Hpo
from recorded_study import RecordedStudy

from hpo_tasks.cli.places import Places
from hpo_tasks.cli.prune import prune_studies
from hpo_tasks.errors import IntegrityError


def finished(
    home: Path, dag_id: str = "hpo_test", run_id: str = "manual__1", **changes: object
) -> RecordedStudy:
    study = RecordedStudy(home, dag_id=dag_id, run_id=run_id, **changes)
    study.round(0, [0.5, 0.25, "user_error", 1.0])
    study.conclude()
    return study


def models(study: RecordedStudy) -> set[str]:
    """Slots that still have a model or a checkpoint, and "best"."""
    keys = [key.split("/")[2:] for key in study.store.list(f"studies/{study.id}/")]
    slots = {parts[1] for parts in keys if len(parts) > 2 and parts[2] in ("a1", "checkpoint") and parts[-2] in ("model", "a1")
             and parts[-1] in ("weights.json", "state.json")}  # fmt: skip
    return slots | {"best" for parts in keys if parts[0] == "best"}


def in_days(study: RecordedStudy, days: int, home: Path, *, dry_run: bool = False) -> list[str]:
    """What a prune so many days from now does: `action of dag_id`s."""
    where = Places(study_db="", store=str(home / "store"))
    now = datetime.now(UTC) + timedelta(days=days)
    return [
        row.action
        for row in prune_studies(study.ledger, study.ledger.studies(), where, now=now, dry_run=dry_run)
    ]


def test_models_of_all_but_the_best_go(hpo: Hpo, home: Path) -> None:
    study = finished(home)
    assert models(study) == {"0000", "0001", "0003", "best"}
    ended = hpo("prune", "--json")
    assert ended.code == 0
    assert json.loads(ended.out) == [
        {"study": study.id, "name": "Test study", "action": "models", "objects": 4, "dry_run": False}
    ]
    assert models(study) == {"0001", "best"}
    assert len(json.loads(hpo("trials", study.id, "--json").out)) == 4
    assert json.loads(hpo("best", study.id, "--json").out)["model"] is not None
    assert json.loads(hpo("prune", "--json").out) == []


def test_a_dry_run_says_the_same_and_deletes_nothing(hpo: Hpo, home: Path) -> None:
    study = finished(home)
    before = set(study.store.list(""))
    ended = hpo("prune", "--dry-run", "--json")
    assert [row["objects"] for row in json.loads(ended.out)] == [4]
    assert "would delete 4 objects" in hpo("prune", "--dry-run").err
    assert set(study.store.list("")) == before


@pytest.mark.parametrize(("keep", "left"), [("all", {"0000", "0001", "0003", "best"}), ("none", set())])
def test_keep_all_and_none(hpo: Hpo, home: Path, keep: str, left: set[str]) -> None:
    study = finished(home, keep={"models": keep})
    assert hpo("prune").code == 0
    assert models(study) == left


def test_a_running_study_keeps_everything(hpo: Hpo, home: Path) -> None:
    study = RecordedStudy(home, keep={"models": "none", "days": 1})
    study.round(0, [0.5, 0.25, "user_error", 1.0])
    assert json.loads(hpo("prune", "--json").out) == []
    assert in_days(study, 1000, home) == []
    assert models(study) == {"0000", "0001", "0003"}


def test_a_trial_without_an_outcome_keeps_its_checkpoint(hpo: Hpo, home: Path) -> None:
    study = RecordedStudy(home)
    study.round(0, [0.5, 0.25, "user_error", 1.0])
    row = study.ask(1)[0]
    study.store.write(f"studies/{study.id}/001/{row.slot:04d}/checkpoint/a1/state.json", b"{}")
    study.conclude("failed", "a task failed")
    hpo("prune")
    assert study.store.read(f"studies/{study.id}/001/{row.slot:04d}/checkpoint/a1/state.json") == b"{}"


def test_an_old_study_goes_whole_unless_the_pointer_names_it(home: Path) -> None:
    old = finished(home, run_id="manual__1", keep={"models": "all", "days": 30})
    newest = finished(home, run_id="manual__2", keep={"models": "all", "days": 30})
    assert in_days(newest, 29, home) == []
    assert in_days(newest, 31, home, dry_run=True) == ["study"]
    assert in_days(newest, 31, home) == ["study"]
    assert [study.study_id for study in newest.ledger.studies()] == [newest.id]
    assert list(old.store.list(f"studies/{old.id}/")) == []
    assert models(newest) == {"0000", "0001", "0003", "best"}


def test_a_prune_that_was_killed_is_finished_by_the_next(home: Path) -> None:
    old = finished(home, run_id="manual__1", keep={"days": 30})
    newest = finished(home, run_id="manual__2", keep={"days": 30})
    old.store.delete([key for key in old.store.list(f"studies/{old.id}/") if "/spec/" not in key])
    assert "study" in in_days(newest, 31, home)
    assert list(old.store.list(f"studies/{old.id}/")) == []


def test_a_pointer_that_cannot_be_read_stops_everything(home: Path) -> None:
    study = finished(home, keep={"models": "none"})
    study.store.write("best/hpo_other.json", b"{torn")
    before = set(study.store.list(""))
    with pytest.raises(IntegrityError, match=r"best/hpo_other\.json"):
        in_days(study, 0, home)
    assert set(study.store.list("")) == before


def test_only_the_study_or_dag_that_is_named(hpo: Hpo, home: Path) -> None:
    one, two, three = (finished(home, dag_id=f"hpo_{name}") for name in ("one", "two", "three"))
    hpo("prune", "--study", "hpo_one")
    hpo("prune", "--dag", "hpo_two")
    everything = {"0000", "0001", "0003", "best"}
    assert (models(one), models(two), models(three)) == ({"0001", "best"}, {"0001", "best"}, everything)
    assert hpo("prune", "--study", "hpo_one", "--dag", "hpo_two").code == 2
    assert hpo("prune", "--study", "hpo_four").code == 2
