"""The pointer to the best moves with the data interval, never back."""

import json

import pytest

from hpo_tasks.errors import IntegrityError
from hpo_tasks.flow.steps.best import copy_best_models, is_announcement_due, move_pointer, previous_best
from hpo_tasks.trial import layout
from hpo_tasks.trial.contract import Outcome, encode_outcome
from hpo_tasks.trial.layout import SlotKey
from tests.flow.steps.conftest import pin_of, spec_with

ROW = {"number": 3, "round": 0, "slot": 1, "params": {"x": 0.5}, "values": {"loss": 0.1}}


def pin_for(day, study="study"):
    return pin_of(spec_with(), study=study, interval=(f"2026-03-{day:02d}T00:00:00+00:00",) * 2)


def points_at(store):
    return json.loads(store.read("best/hpo_steps.json"))["study"]


@pytest.mark.parametrize(("first", "second", "winner"), [(1, 2, "second"), (2, 1, "first"), (1, 1, "second")])
def test_a_late_backfill_does_not_overwrite_tonights(store, first, second, winner):
    """The newer data interval keeps the pointer; the same interval again moves it."""
    move_pointer(store, pin_for(first, "first"), ROW, None)
    move_pointer(store, pin_for(second, "second"), ROW, None)
    assert points_at(store) == winner


def test_previous_best_is_what_the_pointer_names(store):
    """None before there is one."""
    assert previous_best(store, "hpo_steps") is None
    move_pointer(store, pin_for(1), ROW, None)
    assert previous_best(store, "hpo_steps") == {"x": 0.5}


def test_a_best_is_announced_once_and_after_a_kill_again(store):
    """A retry has the same max_tries: its try before did not end. A clear raises it: the one before did."""
    pin = pin_for(1)
    assert is_announcement_due(store, pin, 3, 7)
    assert is_announcement_due(store, pin, 3, 7)
    assert not is_announcement_due(store, pin, 3, 8)
    assert is_announcement_due(store, pin, 4, 8)
    assert not is_announcement_due(store, pin, 4, 9)


@pytest.mark.parametrize("damaged", [b"{", b"[]", b"{}", b'{"number": 3, "max_tries": "x"}', b"[" * 9999])
def test_a_damaged_note_of_the_announcement_stops_no_conclude(store, damaged):
    """It lies in the study's folder, which its jobs can write to."""
    store.write(layout.announced_key("study"), damaged)
    assert is_announcement_due(store, pin_for(1), 3, 8)
    assert not is_announcement_due(store, pin_for(1), 3, 9)


@pytest.mark.parametrize(
    "damaged", [b"", b"{", b"[]", b"[1]", b"null", b"{}", b'{"params": 1, "interval": 2}', b"[" * 9999]
)
def test_a_damaged_pointer_is_named_and_written_anew(store, damaged):
    """The next study says what is wrong with it; a conclude is not kept from its work."""
    store.write("best/hpo_steps.json", damaged)
    with pytest.raises(IntegrityError, match=r"best/hpo_steps\.json: not a pointer"):
        previous_best(store, "hpo_steps")
    assert move_pointer(store, pin_for(1), ROW, None)
    assert previous_best(store, "hpo_steps") == {"x": 0.5}


def record_outcome(store, key, *paths):
    artifacts = tuple({"path": path, "size": 2, "sha256": "0" * 64} for path in (*paths, "log.txt"))
    outcome = Outcome(
        key.study,
        key.round,
        key.slot,
        2,
        "complete",
        "d",
        "0" * 64,
        values={"loss": 0.1},
        artifacts=artifacts,
    )
    store.create(key.outcome, encode_outcome(outcome))


def test_the_best_without_a_model_has_none(store):
    """The model of an earlier best is not shown as its own."""
    record_outcome(store, SlotKey("study", 0, 1))
    store.write("studies/study/best/model.json", b"of another trial")
    assert copy_best_models(store, pin_for(1), [ROW]) is None
    assert list(store.list("studies/study/best/")) == []


def test_the_best_model_replaces_the_one_before(store):
    """Files of an earlier best do not stay beside it."""
    key = SlotKey("study", 0, 1)
    record_outcome(store, key, "model/a/model.json")
    store.write(f"{key.attempt(2)}model/a/model.json", b"{}")
    store.write("studies/study/best/old.bin", b"old")
    assert copy_best_models(store, pin_for(1), [ROW]) == "studies/study/best/"
    assert list(store.list("studies/study/best/")) == ["studies/study/best/a/model.json"]
    store.delete([f"{key.attempt(2)}model/a/model.json"])  # as `hpo prune` does; then conclude is cleared
    assert copy_best_models(store, pin_for(1), [ROW]) == "studies/study/best/"
    assert list(store.list("studies/study/best/")) == ["studies/study/best/a/model.json"]
