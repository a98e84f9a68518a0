"""The spec is pinned once; later only what may change changes."""

from dataclasses import replace

import pytest

from hpo_tasks.errors import ConflictError, IntegrityError
from hpo_tasks.flow.steps.pin import pin, read_pin
from tests.flow.steps.conftest import SPEC, pin_of, spec_with


def test_what_is_pinned_is_read_back(store):
    """Every field, after a round trip through JSON."""
    wanted = pin_of(
        spec_with(), inputs={"train": "/data"}, fingerprints={"train": "sha256:0"}, initial=({"x": 0.1},),
        code={"archive": "key", "sha256": "0"}, note="try",
    )  # fmt: skip
    assert pin(store, wanted) == wanted
    assert read_pin(store, "study") == wanted


def test_pinning_again_changes_nothing(store):
    """A retry of prepare finds the same pin."""
    pin(store, pin_of(spec_with()))
    assert pin(store, pin_of(spec_with())).revision == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"budget": {"trials": 8}},
        {"batch_size": 4},
        {"name": "other"},
        {"trial": {**SPEC["trial"], "attempts": 5, "timeout": "2h"}},
    ],
)
def test_budget_size_and_texts_may_change(store, changes):
    """A new revision counts; the old one stays."""
    pin(store, pin_of(spec_with()))
    amended = pin(store, pin_of(spec_with(**changes)))
    assert amended.revision == 1
    assert read_pin(store, "study") == amended
    assert amended.spec == spec_with(**changes)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"search": {"x": {"type": "float", "low": 0.0, "high": 2.0}}}, "search"),
        ({"objective": {"metric": "loss", "direction": "maximize"}}, "objective"),
        ({"optimizer": {"seed": 5}}, "optimizer"),
        ({"trial": {"command": ["false"]}}, "trial.command"),
    ],
)
def test_what_makes_the_study_may_not(store, changes, field):
    """The message names the field and `epoch`; the pin stays."""
    first = pin(store, pin_of(spec_with()))
    with pytest.raises(ConflictError, match=rf"epoch.*{field}"):
        pin(store, pin_of(spec_with(**changes)))
    assert read_pin(store, "study") == first


@pytest.mark.parametrize(
    "changes", [{"inputs": {"train": "/new"}}, {"code": {"archive": "k", "sha256": "1"}}]
)
def test_other_inputs_or_code_are_another_study(store, changes):
    """They are part of what the trials mean."""
    pin(store, pin_of(spec_with(), inputs={"train": "/old"}, code={"archive": "k", "sha256": "0"}))
    wanted = replace(
        pin_of(spec_with(), inputs={"train": "/old"}, code={"archive": "k", "sha256": "0"}), **changes
    )
    with pytest.raises(ConflictError, match=r"trial\.(inputs|code)"):
        pin(store, wanted)


def test_other_data_at_the_same_address_is_another_study(store):
    """Yesterday's trials and today's would not compare. A mere modification time is only warned of."""
    pin(store, pin_of(spec_with(), inputs={"train": "/d"}, fingerprints={"train": "sha256:0"}))
    with pytest.raises(ConflictError, match=r"trial\.inputs"):
        pin(store, pin_of(spec_with(), inputs={"train": "/d"}, fingerprints={"train": "sha256:1"}))


def test_a_newer_folder_is_only_warned_of(store, caplog):
    """Its fingerprint is a time, which changes when the content does not."""
    first = pin(store, pin_of(spec_with(), inputs={"train": "/d"}, fingerprints={"train": "folder:1"}))
    again = pin(store, pin_of(spec_with(), inputs={"train": "/d"}, fingerprints={"train": "folder:2"}))
    assert again == first
    assert "may have changed" in caplog.text


@pytest.mark.parametrize("text", [b"", b"{}", b"[1]", b'{"schema":1,"digest":"","spec":{}}'])
def test_a_damaged_pin_is_named(store, text):
    """No traceback, the object's key."""
    store.create("studies/study/spec/000.json", text)
    with pytest.raises(IntegrityError, match=r"spec/000\.json"):
        read_pin(store, "study")
