"""The study's inputs: checked and fingerprinted before any trial starts, and brought to the host of a local trial."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hpo_tasks.errors import InputError, Problem, RefusedError, SpecError, UnavailableError
from hpo_tasks.trial.local_files import plain_errors

HASH_LIMIT_BYTES = 1 << 30
S3Client = Callable[[], Any]


def fingerprint_inputs(inputs: Mapping[str, str], s3: S3Client) -> dict[str, str]:
    """Fingerprint every input: `sha256:…` or `size:…` for files, `etag:…` for S3 objects.

    Args:
        inputs: name → URI or path, rendered.
        s3: makes a boto3 S3 client; called only if an input lies on S3.

    Raises:
        SpecError: all inputs that are missing or unreadable, by name.
        UnavailableError: S3 does not answer.
    """
    found: dict[str, str] = {}
    problems: list[Problem] = []
    for name, uri in inputs.items():
        try:
            found[name] = _fingerprint(uri, s3)
        except (OSError, LookupError) as error:
            problems.append(Problem(f"trial.inputs.{name}", f"cannot read {uri}: {_reason(error)}"))
        except RefusedError as error:
            problems.append(Problem(f"trial.inputs.{name}", str(error)))
    if problems:
        raise SpecError(problems)
    return found


def bring_inputs(
    inputs: Mapping[str, str], fingerprints: Mapping[str, str], cache: Path, s3: S3Client
) -> dict[str, str]:
    """Copy inputs that lie on S3 into this host's cache, once per content; the others stay where they are.

    Returns: name → local path, or the input as it was if it is not on S3.

    Raises:
        InputError: an input has changed since it was fingerprinted.
        RefusedError: S3 or this host's disk says no.
        UnavailableError: S3 does not answer.
    """
    return {
        name: _cached(uri, fingerprints.get(name, ""), cache, s3) if uri.startswith("s3://") else uri
        for name, uri in inputs.items()
    }


def _fingerprint(uri: str, s3: S3Client) -> str:
    if uri.startswith("sklearn:"):
        return uri
    if uri.startswith("s3://"):
        head = _head(uri, s3)
        return f"etag:{head['ETag'].strip(chr(34))}:{head['ContentLength']}"
    path = Path(urlsplit(uri).path if uri.startswith("file://") else uri)
    status = path.stat()
    if path.is_dir():
        return f"folder:{status.st_mtime_ns}"
    if status.st_size > HASH_LIMIT_BYTES:
        with path.open("rb"):
            return f"size:{status.st_size}:{status.st_mtime_ns}"
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _head(uri: str, s3: S3Client) -> Any:
    from botocore.exceptions import ClientError

    from hpo_tasks.trial.s3_errors import BOTO_ERRORS, explain, is_missing

    parts = urlsplit(uri)
    try:
        return s3().head_object(Bucket=parts.netloc, Key=parts.path.lstrip("/"))
    except BOTO_ERRORS as error:
        if isinstance(error, ClientError) and is_missing(error):
            raise LookupError("there is no such object") from None
        raise explain(error, uri) from None


def _cached(uri: str, fingerprint: str, cache: Path, s3: S3Client) -> str:
    parts = urlsplit(uri)
    folder = cache / hashlib.sha256(f"{uri}\n{fingerprint}".encode()).hexdigest()[:32]
    target = folder / Path(parts.path).name
    if target.exists():
        os.utime(folder)  # in use: `local.tidy` removes what nobody used for long
        return str(target)
    with plain_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder)
        os.close(handle)
        try:
            _download(uri, temporary, s3)
            if _fingerprint(uri, s3) != fingerprint:
                raise InputError(
                    f"{uri} has changed since the study began: put it back, or start a new study with another epoch"
                )
            Path(temporary).chmod(0o644)
            Path(temporary).replace(target)
        finally:
            Path(temporary).unlink(missing_ok=True)
    return str(target)


def _download(uri: str, target: str, s3: S3Client) -> None:
    from boto3.exceptions import Boto3Error

    from hpo_tasks.trial.s3_errors import BOTO_ERRORS, explain

    parts = urlsplit(uri)
    try:
        s3().download_file(parts.netloc, parts.path.lstrip("/"), target)
    except Boto3Error as error:  # the transfer's own retries are used up
        raise UnavailableError(f"{uri}: cannot be copied to this host: {error}") from None
    except BOTO_ERRORS as error:
        raise explain(error, uri) from None


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    return error.strerror or str(error) if isinstance(error, OSError) else str(error.args[0])
