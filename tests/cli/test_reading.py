"""`hpo studies`, `status`, `trials` and `best` over a real ledger and store."""

import csv
import io
import json
from pathlib import Path

import pytest
from hpo_command import Hpo
from recorded_study import RecordedStudy, complete_study

TRIAL_KEYS = {
    "number", "key", "state", "params", "values", "metrics", "violations", "attempts", "started_at", "ended_at",
    "duration_s", "failure", "seed", "source", "exit_code", "peak_memory_bytes", "asked_at", "recorded_at", "provenance",
}  # fmt: skip
STUDY_KEYS = {
    "study", "name", "dag_id", "run_id", "epoch", "deployment", "interval", "state", "reason", "objectives", "trials",
    "best", "created_at", "ended_at", "duration_s",
}  # fmt: skip


def test_trials_as_json(hpo: Hpo, recorded: RecordedStudy) -> None:
    ended = hpo("trials", recorded.id, "--json")
    trials = json.loads(ended.out)
    assert ended.code == 0
    assert len(trials) == 8
    assert all(set(trial) == TRIAL_KEYS for trial in trials)
    best, failed = trials[4], trials[3]
    assert best["key"] == {"run": "manual__1", "round": 1, "slot": 0}
    assert (best["state"], best["values"], best["attempts"], best["failure"]) == (
        "complete",
        {"loss": 0.125},
        1,
        None,
    )
    assert set(best["params"]) == {"x", "kind"}
    assert (best["started_at"], best["duration_s"]) == ("2026-01-31T02:01:00+00:00", 5.0)
    assert (failed["state"], failed["values"]) == ("failed", None)
    assert failed["failure"] == {"class": "oom", "reason": "exit code 3"}


def test_trials_as_csv_have_a_column_per_parameter_and_objective(hpo: Hpo, recorded: RecordedStudy) -> None:
    rows = list(csv.DictReader(io.StringIO(hpo("trials", recorded.id, "--csv").out)))
    assert len(rows) == 8
    assert {"param.x", "param.kind", "value.loss", "round", "slot", "failure_class", "seed"} <= set(rows[0])
    assert rows[4]["value.loss"] == "0.125"
    assert (rows[2]["value.loss"], rows[2]["failure_class"], rows[2]["failure_reason"]) == (
        "",
        "user_error",
        "exit code 3",
    )


def test_studies_lists_the_newest_first_and_can_be_cut(hpo: Hpo, home: Path) -> None:
    recorded = complete_study(home)
    newer = RecordedStudy(home, dag_id="hpo_newer", name="Newer")
    found = json.loads(hpo("studies", "--json").out)
    assert [study["study"] for study in found] == [newer.id, recorded.id]
    assert all(set(study) == STUDY_KEYS for study in found)
    assert found[1]["trials"] == {"complete": 5, "failed": 3}
    assert found[1]["best"] == {"number": 4, "value": 0.125}
    assert [study["study"] for study in json.loads(hpo("studies", "--dag", "hpo_test", "--json").out)] == [
        recorded.id
    ]
    cut = hpo("studies", "--limit", "1")
    assert newer.id[:10] in cut.out
    assert recorded.id[:10] not in cut.out
    assert "1 of 2" in cut.err


def test_a_study_is_found_by_any_of_its_names(hpo: Hpo, recorded: RecordedStudy) -> None:
    for reference in ("hpo_test", "hpo_test/manual__1", "Test study", "latest", recorded.id, recorded.id[:8]):
        assert json.loads(hpo("status", reference, "--json").out)["study"] == recorded.id


def test_an_unknown_study_is_named(hpo: Hpo, recorded: RecordedStudy) -> None:
    ended = hpo("status", "no\x1b[31m such")
    assert ended.code == 2
    assert "such" in ended.err
    assert "\x1b" not in ended.err


def test_status_tells_what_the_study_is(hpo: Hpo, recorded: RecordedStudy) -> None:
    out = hpo("status", "latest").out
    for expected in (
        recorded.id,
        "hpo_test/manual__1",
        "complete",
        "5 complete, 3 failed",
        "loss 0.125 (trial 4)",
    ):
        assert expected in out
    assert f"{recorded.store.uri}/studies/{recorded.id}/best/" in out
    assert "user_error  exit code 3" in out


def test_status_of_a_running_study_counts_what_was_not_told_yet(hpo: Hpo, home: Path) -> None:
    study = RecordedStudy(home)
    study.round(0, [0.5, 0.25, 0.75, 1.0])
    asked = study.ask(1)
    study.train(asked[0], 0.125)
    study.store.write(f"studies/{study.id}/001/0001/a1/request.json", b"{}")
    out = hpo("status", study.id).out
    assert "trials 5/8 (5 complete, 1 running, 2 waiting)" in out
    assert "rounds 1/2" in out
    assert "best loss 0.125" in out
    document = json.loads(hpo("status", study.id, "--json").out)
    assert document["budget"] == 8
    assert document["left_s"] >= 0


def test_best(hpo: Hpo, recorded: RecordedStudy) -> None:
    ended = hpo("best", recorded.id, "--json")
    document = json.loads(ended.out)
    assert ended.code == 0
    assert (document["number"], document["values"]) == (4, {"loss": 0.125})
    assert document["model"] == f"{recorded.store.uri}/studies/{recorded.id}/best/"
    shown = hpo("best", recorded.id).out
    assert repr(document["params"]["x"]) in shown
    assert document["model"] in shown


def test_best_of_a_running_study_points_at_the_trials_own_model(hpo: Hpo, home: Path) -> None:
    study = RecordedStudy(home)
    study.round(0, [0.5, 0.25, 0.75, 1.0])
    model = json.loads(hpo("best", study.id, "--json").out)["model"]
    assert model == f"{study.store.uri}/studies/{study.id}/000/0001/a1/model/"


def test_no_best_exits_with_1(hpo: Hpo, home: Path) -> None:
    study = RecordedStudy(home)
    study.round(0, ["user_error"] * 4)
    ended = hpo("best", study.id, "--json")
    assert (ended.code, json.loads(ended.out)) == (1, None)
    assert "no best trial" in ended.err


def test_several_objectives_give_the_front(hpo: Hpo, home: Path) -> None:
    both = [{"metric": "loss", "direction": "minimize"}, {"metric": "speed", "direction": "maximize"}]
    study = RecordedStudy(home, objective=both)
    study.round(0, [{"loss": 1, "speed": 1}, {"loss": 2, "speed": 5}, {"loss": 3, "speed": 4}, "oom"])
    study.conclude()
    front = json.loads(hpo("best", study.id, "--json").out)
    assert [trial["number"] for trial in front] == [0, 1]
    assert [trial["model"] for trial in front] == [
        f"{study.store.uri}/studies/{study.id}/best/{n}/" for n in (0, 1)
    ]
    assert "Pareto front" in hpo("best", study.id).out


def test_hostile_text_is_shown_and_not_obeyed(hpo: Hpo, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choices = [
        "\x1b[2J",
        "[red]",
        "[/]",
        ":boom:",
        "a\nb",
        "\u202eevil",
        "--help",
        "{{ 7*7 }}",
        "",
        " ",
        "\x9b31m",
    ]
    study = RecordedStudy(
        home,
        name="[link=x]<b>&:smile: Ставки العربية",
        search={"kind": {"type": "categorical", "choices": choices}},
        optimizer={"sampler": "grid"},
        batch_size=11,
        budget={"trials": 11},
    )
    study.round(0, [0.5, *["user_error"] * 9, 0.25], reason="\x1b]0;owned\x07[bold]\nstudy is complete\u2028")
    study.conclude("failed", "\x1b[31m[red]")
    expected = {
        "studies": ["[link=x]<b>&:smile: Ставки العربية"],
        "status": [r"\x1b]0;owned\x07[bold]\x0astudy is complete\u2028", r"failed: \x1b[31m[red]"],
        "trials": [
            r"kind=\x1b[2J",
            "kind=[red]",
            "kind=:boom:",
            r'kind="a\nb"',
            r"kind=\u202eevil",
            'kind=""',
        ],
        "best": ["loss 0.25"],
    }
    for command, texts in expected.items():
        for columns in ("200", "40"):
            monkeypatch.setenv("COLUMNS", columns)
            ended = hpo(command, *([] if command == "studies" else [study.id]))
            assert ended.code == 0
            assert all(char == "\n" or char.isprintable() for char in ended.out)
            assert [text for text in texts if columns == "200" and text not in ended.out] == []


def test_json_is_ascii_so_that_no_terminal_obeys_it(hpo: Hpo, home: Path) -> None:
    study = RecordedStudy(home, name="Ставки")
    study.round(0, ["user_error"] * 4, reason="\x1b[2J\x9b\u202e")
    for command in ("studies", "trials", "status"):
        out = hpo(command, *([] if command == "studies" else [study.id]), "--json").out
        assert out.isascii()
        assert "\x1b" not in out
    assert json.loads(hpo("trials", study.id, "--json").out)[0]["failure"]["reason"] == "\x1b[2J\x9b\u202e"


def test_csv_and_json_together_are_refused(hpo: Hpo, recorded: RecordedStudy) -> None:
    assert hpo("trials", recorded.id, "--csv", "--json").code == 2


def test_another_database_can_be_named(
    hpo: Hpo, home: Path, kept_home: tuple[Path, RecordedStudy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPO_STUDY_DB", f"sqlite:///{kept_home[0]}/db/studies.db")
    assert json.loads(hpo("best", kept_home[1].id, "--json").out)["model"] is not None
    assert not home.exists()
