"""What a dead program left in its folders, on its way to the object store. Links are never followed.

A checkpoint is a set of files that belong together, so its list is written last: the next attempt takes a whole set or
none, never half of one and half of another.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo_tasks.errors import HpoError, InputError
from hpo_tasks.trial import checks
from hpo_tasks.trial.contract import canonical_json
from hpo_tasks.trial.layout import AttemptKey
from hpo_tasks.trial.local_files import plain_errors
from hpo_tasks.trial.objects import Objects, check_key

MAX_FILES = 1000
MAX_PATH_BYTES = 300
"""Of a file in the folder. With `MAX_FILES` it keeps an outcome, which lists the files, within its limit."""
MAX_TOTAL_BYTES = 20 << 30
MAX_DEPTH = 30
_MAX_LIST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """A regular file, and its path relative to its folder, with slashes."""

    path: str
    source: Path


def find_files(folder: Path, what: str) -> list[Found]:
    """All regular files below a folder, sorted by path. Links, pipes, sockets and devices are left out.

    Raises:
        InputError: too many files or bytes, too deep, or a name that no object can have; the message starts with `what`.
    """
    found: list[Found] = []
    total = 0
    pending = [(folder, "")] if folder.is_dir() and not folder.is_symlink() else []
    while pending:
        parent, prefix = pending.pop()
        with plain_errors(parent), os.scandir(parent) as entries:
            for entry in entries:
                path = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    if path.count("/") >= MAX_DEPTH:
                        raise InputError(f"{what}: folders nested more than {MAX_DEPTH} deep")
                    pending.append((parent / entry.name, f"{path}/"))
                elif entry.is_file(follow_symlinks=False):
                    _check_path(path, what)
                    found.append(Found(path, parent / entry.name))
                    total += entry.stat(follow_symlinks=False).st_size
                if len(found) > MAX_FILES or total > MAX_TOTAL_BYTES:
                    raise InputError(
                        f"{what}: more than {MAX_FILES} files or {MAX_TOTAL_BYTES >> 30} GiB; pack or leave out some"
                    )
    return sorted(found, key=lambda each: each.path)


def upload_model(objects: Objects, key: AttemptKey, folders: Sequence[Path]) -> list[dict[str, Any]]:
    """Upload the files of the model folders; where two hold the same path, the earlier folder's counts.

    Returns:
        For each file what an outcome's `artifacts` say of it.

    Raises:
        InputError: as `find_files`.
        HpoError: the store's.
    """
    files: dict[str, Found] = {}
    for folder in folders:
        for each in find_files(folder, "model"):
            files.setdefault(each.path, each)
    if len(files) > MAX_FILES:
        raise InputError(f"model: more than {MAX_FILES} files; pack or leave out some")
    return [
        _upload(objects, str(key), f"{key.model.removeprefix(str(key))}{name}", f.source)
        for name, f in files.items()
    ]


def upload_file(objects: Objects, key: AttemptKey, object_key: str, source: Path) -> dict[str, Any]:
    """Upload one file of the attempt; returns what the outcome says of it."""
    return _upload(objects, str(key), object_key.removeprefix(str(key)), source)


def upload_checkpoint(objects: Objects, key: AttemptKey, folder: Path) -> None:
    """Keep the checkpoint folder for the trial's next attempt. An empty one leaves the previous checkpoint in force.

    Raises:
        InputError: as `find_files`.
        HpoError: the store's.
    """
    files = [
        _upload(objects, key.checkpoint, each.path, each.source) for each in find_files(folder, "checkpoint")
    ]
    if files:
        objects.write(key.checkpoint_list, canonical_json({"files": files}))


def restore_checkpoint(objects: Objects, key: AttemptKey, folder: Path) -> int | None:
    """Fill the folder with the newest whole checkpoint of an earlier attempt.

    Returns:
        The attempt that left it, None if there is none. A damaged one counts as none.
    """
    for number in range(key.number - 1, 0, -1):
        earlier = key.trial.attempt(number)
        files = _read_list(objects, earlier)
        if files and all(_download(objects, earlier.checkpoint, each, folder) for each in files):
            return number
        _clear(folder)
    return None


def _upload(objects: Objects, prefix: str, path: str, source: Path) -> dict[str, Any]:
    objects.upload(prefix + path, source)
    with plain_errors(source), source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"path": path, "size": os.fstat(file.fileno()).st_size, "sha256": digest}


def _read_list(objects: Objects, key: AttemptKey) -> list[dict[str, Any]]:
    data = objects.read(key.checkpoint_list, limit=_MAX_LIST_BYTES)
    if data is None:
        return []
    try:
        return [_LISTED(each) for each in json.loads(data)["files"]]
    except (
        ValueError,
        TypeError,
        KeyError,
        RecursionError,
    ):  # a program of this study wrote something else there
        return []


def _download(objects: Objects, prefix: str, file: dict[str, Any], folder: Path) -> bool:
    target = folder / file["path"]
    if not objects.download(prefix + file["path"], target):
        return False
    with plain_errors(target), target.open("rb") as copy:
        return hashlib.file_digest(copy, "sha256").hexdigest() == str(file["sha256"])


def _clear(folder: Path) -> None:
    for each in find_files(folder, "checkpoint"):
        each.source.unlink()


def _check_path(path: str, what: str) -> None:
    try:
        check_key(path)
        if len(path.encode()) > MAX_PATH_BYTES:
            raise InputError(f"file name {path[:50]!r}… has more than {MAX_PATH_BYTES} bytes")
    except HpoError as error:
        raise InputError(f"{what}: cannot be stored: {error}") from None


_LISTED = checks.record(
    path=checks.relative_path,
    size=checks.integer(0),
    sha256=checks.pattern(r"[0-9a-f]{64}", "a SHA-256 in hex"),
)
