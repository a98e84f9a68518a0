"""The best model's place in the object store, and the pointer to the best of the newest data interval."""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from hpo_tasks.flow.steps.pin import Pin
from hpo_tasks.store.base import Store
from hpo_tasks.trial import layout
from hpo_tasks.trial.contract import canonical_json, decode_outcome
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
    copied: set[str] = set()
    for row in best:
        folder = prefix if len(pin.spec.objective) == 1 else f"{prefix}{row['number']}/"
        copied |= _copy_model(store, SlotKey(pin.study, row["round"], row["slot"]), folder)
    if copied:
        store.delete([key for key in store.list(prefix) if key not in copied])
    return prefix if copied or any(True for _ in store.list(prefix)) else None


def move_pointer(store: Store, pin: Pin, best: Mapping[str, Any], model: str | None) -> bool:
    """Point `best/<dag_id>.json` at this study, unless it points at a newer data interval. Returns whether it moved."""
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
        if found is not None and _interval_end(found[0]) > pin.interval[1]:
            log.info("best/%s.json stays: it points at a newer data interval", pin.dag_id)
            return False
        if store.replace(key, document, version=found[1] if found else None):
            return True


def previous_best(store: Store, dag_id: str) -> Mapping[str, Any] | None:
    """Parameters that the DAG's pointer names, None if there is none."""
    data = store.read(layout.best_pointer_key(dag_id), limit=MAX_POINTER_BYTES)
    params = json.loads(data)["params"] if data else None
    return params if isinstance(params, dict) else None


def _interval_end(data: bytes) -> str:
    """End of the interval that a pointer names; intervals are written as ISO 8601 in UTC, so text order is time order."""
    return str(json.loads(data)["interval"][1])


def _copy_model(store: Store, slot: SlotKey, folder: str) -> set[str]:
    outcome = decode_outcome(store.read(slot.outcome) or b"")
    source = slot.attempt(outcome.attempt)
    kept = set(store.list(source.model))  # `hpo prune` may have deleted it since
    copied = set()
    for artifact in outcome.artifacts:
        path = str(artifact["path"])
        if path.startswith("model/") and f"{source}{path}" in kept:
            target = f"{folder}{path.removeprefix('model/')}"
            store.copy(f"{source}{path}", target)
            copied.add(target)
    return copied
