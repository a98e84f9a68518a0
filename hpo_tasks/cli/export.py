"""`hpo export`: one study as a folder of plain files."""

import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hpo_tasks.cli.places import Places, find_study, open_ledger, store_of
from hpo_tasks.errors import InputError, RefusedError
from hpo_tasks.flow.steps.pin import read_pin
from hpo_tasks.report.documents import trial_document, trials_csv
from hpo_tasks.spec import canonical
from hpo_tasks.store import Store
from hpo_tasks.study.records import StudyRecord, TrialRecord
from hpo_tasks.study.summary import summary
from hpo_tasks.trial import layout

_LOG = re.compile(r"(\d+)/(\d+)/a(\d+)/log\.txt")


def export(where: Places, reference: str, target: Path, *, force: bool) -> dict[str, Any]:
    """Write spec.json, trials.json, trials.csv, summary.json, `model/` and `logs/` into a folder.

    Everything is gathered in a folder beside it first; then each part is put into its place by a rename.

    Args:
        where: database and store.
        reference: the study, as a person names it.
        target: the folder; made if missing.
        force: replace the parts that an earlier export wrote; other files there stay.

    Returns: what was written, as JSON: study, folder, number of trials, model files and logs.

    Raises:
        InputError: no such study, or the folder holds something and `force` is not given.
    """
    with open_ledger(where) as ledger:
        study = ledger.study(find_study(ledger, reference))
        trials = ledger.trials(study.study_id)
    store = store_of(study.header, where)
    _check_target(target, force=force)
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".hpo-export-", dir=target) as gathered:
            written = _gather(Path(gathered), study, trials, store)
            _put_in_place(Path(gathered), target)
    except OSError as error:
        raise RefusedError(f"{error.filename or target}: cannot be written: {error.strerror}") from None
    return {"study": study.study_id, "folder": str(target.absolute()), "trials": len(trials), **written}


def _check_target(target: Path, *, force: bool) -> None:
    if target.exists() and not target.is_dir():
        raise InputError(f"{target}: is a file; name a folder")
    if target.is_dir() and any(target.iterdir()) and not force:
        raise InputError(
            f"{target}: is not empty; name another folder, or use --force to replace an earlier export in it"
        )


def _gather(folder: Path, study: StudyRecord, trials: Sequence[TrialRecord], store: Store) -> dict[str, int]:
    """Write all parts into the folder; returns how many model files and logs there are."""
    header = study.header
    pin = read_pin(store, study.study_id)
    if pin is not None:
        _write_json(folder / "spec.json", canonical(pin.spec))
    _write_json(folder / "trials.json", [trial_document(header, trial) for trial in trials])
    (folder / "trials.csv").write_text(trials_csv(header, trials), encoding="utf-8")
    kept = store.read(layout.summary_key(study.study_id))  # until `conclude` wrote one, ours says the same
    _write_json(folder / "summary.json", json.loads(kept) if kept is not None else summary(study, trials))
    counts = {"model_files": 0, "logs": 0}
    best = layout.best_prefix(study.study_id)
    for key in store.list(best):
        counts["model_files"] += _download(store, key, folder / "model" / key.removeprefix(best))
    for key, name in _logs(store, study.study_id):
        counts["logs"] += _download(store, key, folder / "logs" / name)
    return counts


def _logs(store: Store, study: str) -> Iterator[tuple[str, str]]:
    """(key, file name) of every attempt's log."""
    prefix = layout.study_prefix(study)
    for key in store.list(prefix):
        if match := _LOG.fullmatch(key.removeprefix(prefix)):
            yield key, f"round-{match[1]}-slot-{match[2]}-attempt-{match[3]}.txt"


def _download(store: Store, key: str, path: Path) -> bool:
    # The store lists no key with `..`, an empty part or a control character (trial.objects.check_key).
    path.parent.mkdir(parents=True, exist_ok=True)
    return store.download(key, path)


def _put_in_place(gathered: Path, target: Path) -> None:
    """Move each part to its place; what an earlier export left there moves aside first, and goes with the folder."""
    aside = gathered / ".replaced"
    aside.mkdir()
    for part in sorted(gathered.iterdir()):
        if part == aside:
            continue
        place = target / part.name
        if place.is_symlink() or place.exists():
            place.rename(aside / part.name)
        part.rename(place)


def _write_json(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")
