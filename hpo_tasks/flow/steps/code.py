"""`trial.code.dir`: the user's folder as one archive in the object store, byte for byte the same for the same files."""

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

from hpo_tasks.errors import Problem, SpecError
from hpo_tasks.flow.steps.pin import read_pin
from hpo_tasks.store.base import Store
from hpo_tasks.trial import layout

MAX_ARCHIVE_BYTES = 256 << 20
_LEFT_OUT = {".git", "__pycache__", ".venv", ".hpo", ".ipynb_checkpoints"}


def copy_code(store: Store, study: str, data: bytes) -> dict[str, str]:
    """Create the archive in the store, once per study; the first one stays, unless a prepare died before its pin.

    Returns: {"archive": key, "sha256": digest of `data`, by which the pin notices that the code has changed}.
    """
    key = layout.code_key(study)
    if not store.create(key, data) and read_pin(store, study) is None:
        store.write(key, data)
    return {"archive": key, "sha256": hashlib.sha256(data).hexdigest()}


def archive(folder: Path) -> bytes:
    """The folder as a deterministic tar.gz: sorted, no owners, no times, no version control.

    Raises:
        SpecError: the folder is missing, unreadable or larger than 256 MiB.
    """
    if not folder.is_dir():
        raise SpecError([Problem("trial.code.dir", f"{folder} is not a folder")])
    plain, total = io.BytesIO(), 0
    try:
        with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT, dereference=True) as tar:
            for path in _files(folder):
                member = tar.gettarinfo(path, arcname=str(path.relative_to(folder)))
                member.uid = member.gid = member.mtime = 0
                member.uname = member.gname = ""
                member.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
                total += member.size
                if total > MAX_ARCHIVE_BYTES:
                    raise SpecError(
                        [Problem("trial.code.dir", f"{folder} holds more than 256 MiB; keep data in inputs")]
                    )
                with path.open("rb") as file:
                    tar.addfile(member, file)
    except OSError as error:
        raise SpecError(
            [Problem("trial.code.dir", f"cannot read {error.filename}: {error.strerror}")]
        ) from None
    return gzip.compress(plain.getvalue(), mtime=0)


def _files(folder: Path) -> list[Path]:
    """Regular files below the folder; a link is followed only to a file inside it."""
    root = folder.resolve()
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and path.resolve().is_relative_to(root)
        and not _LEFT_OUT.intersection(path.relative_to(folder).parts)
    )
