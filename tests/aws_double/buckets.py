"""S3 as services see it from inside: whole prefixes in and out of folders."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aws_double.calls import ACCOUNT


class MissingObjectsError(Exception):
    """No such bucket, or nothing under a prefix."""


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of s3://bucket/key."""
    parts = urlsplit(uri)
    return parts.netloc, parts.path.lstrip("/")


def download(uri: str, folder: Path) -> int:
    """Copy everything under a prefix into a folder; how many objects.

    Raises:
        MissingObjectsError: there is no such bucket.
    """
    bucket_name, prefix = split_uri(uri)
    found = [(name, key) for name, key in list(_bucket(bucket_name).keys.items()) if name.startswith(prefix)]
    base = prefix if prefix.endswith("/") or not prefix else prefix + "/"
    for name, key in found:
        if name.endswith("/"):
            continue
        place = folder / (name.removeprefix(base) if name.startswith(base) else name.rpartition("/")[2])
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(key.value)
    return len(found)


def upload(uri: str, content: bytes) -> None:
    """Write one object.

    Raises:
        MissingObjectsError: there is no such bucket.
    """
    bucket_name, key = split_uri(uri)
    _bucket(bucket_name)
    _backend().put_object(bucket_name, key, content)


def _backend() -> Any:
    from moto.s3.models import s3_backends

    return s3_backends[ACCOUNT]["aws"]


def _bucket(name: str) -> Any:
    try:
        return _backend().get_bucket(name)
    except Exception as error:
        raise MissingObjectsError(f"the bucket {name} does not exist") from error
