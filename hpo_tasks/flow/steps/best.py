"""The best model's place in the object store, and the pointer to the best of the newest data interval."""

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from hpo_tasks.errors import IntegrityError
from hpo_tasks.flow.steps.pin import Pin
from hpo_tasks.store.base import Store
from hpo_tasks.trial import layout
from hpo_tasks.trial.contract import MAX_DOCUMENT_BYTES, canonical_json, decode_outcome
from hpo_tasks.trial.layout import SlotKey

log = logging.getLogger(__name__)

MAX_POINTER_BYTES = 1 << 20


def copy_best_models(store: Store, pin: Pin, best: Sequence[Mapping[str, Any]]) -> str | None:
    """Copy the model of the best trial to `studies/<id>/best/`; with several objectives each to `best/<number>/`.

    Args:
        store: the study's store.
        pin: the study.
        best: rows of the summary's `best`, with `number`, `round`, `slot`.

    Returns: the key prefix of the model, None if no best trial kept one.
    """
    prefix = layout.best_prefix(pin.study)
    wanted: set[str] = set()
    for row in best:
        folder = prefix if len(pin.spec.objective) == 1 else f"{prefix}{row['number']}/"
        wanted |= _copy_model(store, SlotKey(pin.study, row["round"], row["slot"]), folder)
    store.delete([key for key in store.list(prefix) if key not in wanted])
    return prefix if any(True for _ in store.list(prefix)) else None


def move_pointer(store: Store, pin: Pin, best: Mapping[str, Any], model: str | None) -> bool:
    """Point `best/<dag_id>.json` at this study, unless it points at a newer data interval. Returns whether it moved.

    A damaged pointer is replaced: all that it says is in the summaries of the studies.
    """
    key = layout.best_pointer_key(pin.dag_id)
    document = canonical_json(
        {
            "schema": 1, "dag_id": pin.dag_id, "run_id": pin.run_id, "study": pin.study, "epoch": pin.epoch,
            "interval": list(pin.interval), "number": best["number"], "params": best["params"],
            "values": best["values"], "model": model,
        }
    )  # fmt: skip
    while True:
        found = store.read_versioned(key)
        if found is not None and _interval_end(key, found[0]) > pin.interval[1]:
            log.info("best/%s.json stays: it points at a newer data interval", pin.dag_id)
            return False
        if store.replace(key, document, version=found[1] if found else None):
            return True


def previous_best(store: Store, dag_id: str) -> Mapping[str, Any] | None:
    """Parameters that the DAG's pointer names, None if there is none.

    Raises:
        IntegrityError: it is damaged.
    """
    key = layout.best_pointer_key(dag_id)
    data = store.read(key, limit=MAX_POINTER_BYTES)
    if data is None:
        return None
    try:
        return dict(json.loads(data)["params"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise IntegrityError(
            f"{store.uri}/{key}: not a pointer to a best ({error}); remove it, the next study writes it anew"
        ) from None


def is_announcement_due(store: Store, pin: Pin, number: int, max_tries: int) -> bool:
    """Whether the Asset event of this best has still to be sent; notes down that it is being sent.

    The event leaves with the task's success, which a kill may prevent: a retry of the same task sends it again. A clear
    raises Airflow's `max_tries`, a retry does not; so a note with fewer tries is of a task that came to its end.
    """
    key = layout.announced_key(pin.study)
    # None yet, or damaged: at worst the event is sent twice.
    with suppress(IntegrityError, ValueError, LookupError, TypeError, RecursionError):
        noted = json.loads(store.read(key, limit=MAX_POINTER_BYTES) or b"{}")
        if noted["number"] == number and noted["max_tries"] < max_tries:
            return False
    store.write(key, canonical_json({"number": number, "max_tries": max_tries}))
    return True


def _interval_end(key: str, data: bytes) -> str:
    """End of the interval that a pointer names, "" if it is damaged.

    Intervals are written as ISO 8601 in UTC, so text order is time order.
    """
    try:
        return str(json.loads(data)["interval"][1])
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        log.warning("%s is not a pointer to a best (%s): it is replaced", key, error)
        return ""


def _copy_model(store: Store, slot: SlotKey, folder: str) -> set[str]:
    """Copy what is left of the trial's model; returns the keys of all of it, `hpo prune` may have deleted some since."""
    outcome = decode_outcome(store.read(slot.outcome, limit=MAX_DOCUMENT_BYTES) or b"")
    source = slot.attempt(outcome.attempt)
    kept = set(store.list(source.model))
    targets = set()
    for artifact in outcome.artifacts:
        path = str(artifact["path"])
        if path.startswith("model/"):
            target = f"{folder}{path.removeprefix('model/')}"
            targets.add(target)
            if f"{source}{path}" in kept:
                store.copy(f"{source}{path}", target)
    return targets
