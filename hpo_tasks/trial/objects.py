"""Reading and writing objects, with create-once. The base of the job's access and of the control plane's store.

Implementations: FolderObjects (temporary file, fsync, os.link) and S3Objects (PutObject with If-None-Match: *).
`open_objects(uri)` picks one by scheme: a path or file:// → folder; s3:// → boto3, imported only then.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

from hpo_tasks.errors import InputError
from hpo_tasks.trial.retries import Retries

MAX_KEY_BYTES = 900
MAX_PREFIX_BYTES = 120
"""S3 allows 1,024 bytes for prefix and key together."""
MAX_NAME_BYTES = 255
"""What file systems allow for one name."""
RESERVED = ".hpo-"
"""Names that start so are the folder store's own files (temporaries, lock) and never objects."""
TEMPORARY = f"{RESERVED}tmp-"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_UNSAFE = frozenset("\\\u2028\u2029\ufffe\uffff")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")


class Objects(Protocol):
    """A flat space of objects below one root. Keys are relative, `/`-separated, never absolute, no `..`.

    Promises: an object appears whole or not at all. `create` is linearisable: of any number of callers exactly one
    gets True. All methods may be called from several processes and threads, and may be repeated.

    Raises (all methods):
        UnavailableError: no answer, or no space, after the bounded retries; try again later. A write may have happened
            or not.
        RefusedError: permission denied, bucket or root missing, read-only folder.
        IntegrityError: something that this protocol never writes is in the object's place (a link, a folder).
        InputError: the key breaks a rule of `check_key`.
    """

    @property
    def uri(self) -> str:
        """Address of the root (`file:///…` or `s3://bucket/prefix`), without a trailing slash."""

    def read(self, key: str, *, limit: int | None = None) -> bytes | None:
        """The object's bytes, None if there is none. More than `limit` bytes raises IntegrityError."""

    def create(self, key: str, data: bytes) -> bool:
        """Write the object if there is none. False: somebody was first (its content stays)."""

    def write(self, key: str, data: bytes) -> None:
        """Write or replace the object."""

    def upload(self, key: str, source: Path) -> None:
        """Write or replace the object from a regular file (RefusedError if it is a link, or anything else)."""

    def download(self, key: str, target: Path) -> bool:
        """Copy the object into a file, which appears whole. False: there is no such object."""

    def list(self, prefix: str) -> Iterator[str]:
        """Keys that start with `prefix`, in no promised order. Keys are returned relative to the root."""


def open_objects(uri: str, *, client: Any = None, patience_s: float = 900.0) -> Objects:
    """Access to the objects below `uri`. Connects to nothing and creates nothing yet.

    Args:
        uri: a path, `file:///path` or `s3://bucket/prefix`.
        client: a boto3 S3 client; None builds one from the environment at first use. Folders need none.
        patience_s: how long one call may go on trying while the server does not answer, or a folder's disk is full.

    Raises:
        InputError: not an address of an object store.
    """
    location = parse_uri(uri)
    if isinstance(location, Path):
        from hpo_tasks.trial.folder_objects import FolderObjects  # noqa: PLC0415 - it builds on this module

        return FolderObjects(location, retries=Retries(patience_s))
    from hpo_tasks.trial.s3_objects import S3Objects  # noqa: PLC0415 - boto3 only where S3 is used

    bucket, prefix = location
    return S3Objects(bucket, prefix, client=client, retries=Retries(patience_s))


def parse_uri(uri: str) -> Path | tuple[str, str]:
    """What an object store's address means: a folder, or (bucket, prefix without slashes at its ends).

    Raises:
        InputError: the rule that the address breaks.
    """
    if "@" in uri.partition("://")[2].partition("/")[0]:
        raise InputError(
            "object store: the address must not hold credentials; use the environment or a connection"
        )
    if not uri or not unquote(uri).isprintable():
        raise InputError(f"object store: {uri!r} is empty or holds control characters")
    scheme = _SCHEME.match(uri)
    if scheme is None:
        return Path(uri)
    rest = uri[scheme.end() :]
    match scheme[1].lower():
        case "file" if rest.startswith("/"):
            return Path(unquote(rest))
        case "file":
            raise InputError(f"object store: {uri!r} names a host; write file:///path, with three slashes")
        case "s3":
            return _parse_s3(uri, rest)
        case _:
            raise InputError(f"object store: {uri!r} must be a folder, file:///path or s3://bucket/prefix")


def check_key(key: str) -> None:
    """Refuse a key that could leave the root or that some store cannot hold.

    Raises:
        InputError: the key and the rule that it breaks.
    """
    problem = _key_problem(key)
    if problem:
        raise InputError(f"object key {key[:200]!r}: {problem}")


def is_key(key: str) -> bool:
    """Whether `check_key` accepts it. Listings leave out what it refuses: nobody could read it."""
    return not _key_problem(key)


def _parse_s3(uri: str, rest: str) -> tuple[str, str]:
    bucket, _, prefix = rest.partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise InputError(f"object store: {uri!r} names no valid bucket; write s3://bucket/prefix")
    prefix = prefix.rstrip("/")
    problem = _key_problem(prefix) if prefix else ""
    if len(prefix.encode()) > MAX_PREFIX_BYTES:
        problem = f"must have at most {MAX_PREFIX_BYTES} bytes"
    if problem:
        raise InputError(f"object store: {uri!r}: the prefix {problem}")
    return bucket, prefix


def _key_problem(key: str) -> str:
    """The rule that a key breaks; "" if none."""
    try:
        sizes = [len(part.encode()) for part in key.split("/")]
    except UnicodeEncodeError:
        return "is not valid Unicode"
    if min(sizes) == 0:
        return "must not be empty, start or end with a slash, or hold two slashes in a row"
    if max(sizes) > MAX_NAME_BYTES or sum(sizes) + len(sizes) - 1 > MAX_KEY_BYTES:
        return f"must have at most {MAX_KEY_BYTES} bytes, and {MAX_NAME_BYTES} between two slashes"
    return next((rule for broken, rule in _KEY_RULES if broken(key)), "")


_KEY_RULES: tuple[tuple[Callable[[str], bool], str], ...] = (
    # U+FFFE and U+FFFF cannot stand in XML, in which S3 takes the keys to delete.
    (lambda key: not _UNSAFE.isdisjoint(key), "must not hold backslashes, line separators or non-characters"),
    (lambda key: any(unicodedata.category(char) == "Cc" for char in key), "must not hold control characters"),
    # Nothing here decodes %2e, but what a key ends up in (a link on a page, another store) might.
    (
        lambda key: not {".", ".."}.isdisjoint(key.split("/") + unquote(key).split("/")),
        "must not hold the parts . or ..",
    ),
    (lambda key: not unicodedata.is_normalized("NFC", key), "must be in Unicode's normal form NFC"),
    (lambda key: f"/{RESERVED}" in f"/{key}", f"must not hold names that start with {RESERVED} (reserved)"),
)
