"""The pinned spec: what `prepare` decided once for the study, and all that later tasks read.

`spec/000.json` is created once; a rerun under the same epoch that changes only what may change (budget, batch size,
slots, timeout, attempts, texts) adds `spec/001.json`, and so on. The highest number counts.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from hpo_tasks.errors import ConflictError, IntegrityError, SpecError
from hpo_tasks.spec import StudySpec, Trust, canonical, changed_identity, digest, validate
from hpo_tasks.store.base import Store
from hpo_tasks.trial import layout
from hpo_tasks.trial.contract import Scalar, canonical_json

log = logging.getLogger(__name__)

MAX_PIN_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Pin:
    """One study's pinned spec and where it comes from.

    Attributes:
        study: the study's id.
        deployment, dag_id, run_id, epoch: what the id is made of.
        spec: the validated spec after form overrides.
        interval: ISO 8601 start and end of the data interval (equal: a point in time).
        inputs: input name → rendered URI.
        fingerprints: input name → fingerprint (size and ETag or digest) at the time of pinning.
        initial: configurations to try first, `previous_best` already replaced by parameters.
        max_rounds: rounds that the DAG has.
        code: {"archive": key, "sha256": hex} of `trial.code.dir`, or None.
        note: the form's note.
        revision: number of the pin's object.
    """

    study: str
    deployment: str
    dag_id: str
    run_id: str
    epoch: int
    spec: StudySpec
    interval: tuple[str, str]
    inputs: Mapping[str, str]
    fingerprints: Mapping[str, str]
    initial: tuple[Mapping[str, Scalar], ...]
    max_rounds: int
    code: Mapping[str, str] | None = None
    note: str = ""
    revision: int = 0

    @property
    def digest(self) -> str:
        """Digest of the whole spec; outcomes repeat the digest that their request named."""
        return digest(self.spec)


def pin(store: Store, wanted: Pin) -> Pin:
    """Create the study's pin, amend it, or find that it says the same already. Returns the pin that counts.

    Raises:
        ConflictError: the study exists and the spec differs in what makes it that study; names the fields.
    """
    while True:
        current = read_pin(store, wanted.study)
        if current is None:
            if store.create(layout.spec_key(wanted.study, 0), _encode(wanted)):
                return wanted
            continue
        merged = _amend(current, wanted)
        if merged == current:
            return current
        if store.create(layout.spec_key(wanted.study, merged.revision), _encode(merged)):
            return merged


def read_pin(store: Store, study: str) -> Pin | None:
    """The study's newest pin, None if it was never pinned."""
    keys = sorted(store.list(f"{layout.study_prefix(study)}spec/"))
    return _decode(keys[-1], store.read(keys[-1], limit=MAX_PIN_BYTES)) if keys else None


def _amend(current: Pin, wanted: Pin) -> Pin:
    changed = changed_identity(current.spec, wanted.spec)
    if current.inputs != wanted.inputs and "trial.inputs" not in changed:
        changed.append("trial.inputs")
    if _changed_contents(current, wanted) and "trial.inputs" not in changed:
        changed.append("trial.inputs")
    if _digest_of(current.code) != _digest_of(wanted.code) and "trial.code" not in changed:
        changed.append("trial.code")
    if changed:
        raise ConflictError(
            f"epoch: study {current.study} of this run was pinned with other {', '.join(changed)}; trials of two "
            f"meanings do not mix: trigger with `epoch: {current.epoch + 1}` to start a new study, or change "
            f"{'it' if len(changed) == 1 else 'them'} back"
        )
    merged = replace(
        current, spec=wanted.spec, note=wanted.note or current.note, max_rounds=wanted.max_rounds
    )
    return merged if merged == current else replace(merged, revision=current.revision + 1)


def _changed_contents(current: Pin, wanted: Pin) -> bool:
    """Whether an input's content is another one.

    Folders and huge files are only warned of: their fingerprint is a modification time, which also changes when
    nothing else does.
    """
    changed = [
        name for name, now in wanted.fingerprints.items() if current.fingerprints.get(name, now) != now
    ]
    weak = [name for name in changed if not wanted.fingerprints[name].startswith(("sha256:", "etag:"))]
    for name in weak:
        log.warning("input %s (%s) may have changed since the study began", name, current.inputs.get(name))
    return len(changed) > len(weak)


def _digest_of(code: Mapping[str, str] | None) -> str | None:
    return code["sha256"] if code else None


def _encode(value: Pin) -> bytes:
    document = {field: item for field, item in asdict(replace(value)).items() if field != "spec"}
    return canonical_json({"schema": 1, **document, "spec": canonical(value.spec), "digest": value.digest})


def _decode(key: str, data: bytes | None) -> Pin:
    try:
        document: dict[str, Any] = json.loads(data or b"")
        document.pop("schema"), document.pop("digest")
        document["spec"] = validate(document["spec"], trust=Trust.FILE, source=key)
        document["interval"] = tuple(document["interval"])
        document["initial"] = tuple(document["initial"])
        return Pin(**document)
    except (ValueError, TypeError, KeyError, SpecError) as error:
        raise IntegrityError(
            f"{key}: not a pinned spec ({error}); restore the object or use another epoch"
        ) from None
