"""The one form of a spec that is stored, and what of it makes a study that study."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from hpo_tasks.spec.model import StudySpec

# What may not change under the same epoch: it would mix trials of two meanings. Not here, because trials already
# recorded keep theirs: budget, batch size, rounds, pool, backend, resources, timeout, attempts, retention, texts, and the
# connections behind secrets, which are rotated.
_IDENTITY = ("objective", "thresholds", "search", "constraints", "optimizer", "initial")
_PROGRAM = (
    "trainer", "options", "entry_point", "command", "metrics", "env", "code", "model_dir", "clean_model_dir", "inputs",
)  # fmt: skip


def canonical(spec: StudySpec) -> dict[str, Any]:
    """The spec as plain JSON data with every default written out; `validate` reads it back as an equal spec."""
    return spec.model_dump(mode="json", by_alias=True)


def digest(spec: StudySpec) -> str:
    """SHA-256 (hexadecimal) of the whole spec. The order of keys in the file plays no part."""
    return _sha256(canonical(spec))


def identity_digest(spec: StudySpec) -> str:
    """SHA-256 (hexadecimal) of what may not change under the same epoch."""
    return _sha256(_identity(spec))


def changed_identity(old: StudySpec, new: StudySpec) -> list[str]:
    """Dotted fields of the identity that differ, for the message that asks for another epoch."""
    return list(_differences("", _identity(old), _identity(new)))


def _identity(spec: StudySpec) -> dict[str, Any]:
    document = canonical(spec)
    return {
        **{field: document[field] for field in _IDENTITY},
        "trial": {field: document["trial"][field] for field in _PROGRAM},
    }


def _differences(path: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*old, *(key for key in new if key not in old)]:
            field = f"{path}.{key}" if path else str(key)
            if key not in old or key not in new:
                yield field
            else:
                yield from _differences(field, old[key], new[key])
    elif _json(old) != _json(new):  # as JSON: 1 and true differ
        yield path


def _sha256(value: Any) -> str:
    return hashlib.sha256(_json(value)).hexdigest()


def _json(value: Any) -> bytes:
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()
