"""The study's inputs: checked and fingerprinted before any trial starts, and brought to the host of a local trial."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hpo_tasks.errors import Problem, SpecError, UnavailableError

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
    if problems:
        raise SpecError(problems)
    return found


def bring_inputs(
    inputs: Mapping[str, str], fingerprints: Mapping[str, str], cache: Path, s3: S3Client
) -> dict[str, str]:
    """Copy inputs that lie on S3 into this host's cache, once per content; the others stay where they are.

    Returns: name → local path, or the input as it was if it is not on S3.
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
    from botocore.exceptions import BotoCoreError, ClientError

    parts = urlsplit(uri)
    try:
        return s3().head_object(Bucket=parts.netloc, Key=parts.path.lstrip("/"))
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status >= 500:
            raise UnavailableError(f"{uri}: S3 answers {status}; try again later") from None
        raise LookupError("there is no such object" if status == 404 else f"S3 answers {status}") from None
    except BotoCoreError as error:
        raise UnavailableError(f"{uri}: S3 does not answer: {error}") from None


def _cached(uri: str, fingerprint: str, cache: Path, s3: S3Client) -> str:
    parts = urlsplit(uri)
    folder = cache / hashlib.sha256(f"{uri}\n{fingerprint}".encode()).hexdigest()[:32]
    target = folder / Path(parts.path).name
    if target.exists():
        return str(target)
    folder.mkdir(parents=True, exist_ok=True)
    from botocore.exceptions import BotoCoreError, ClientError

    handle, temporary = tempfile.mkstemp(dir=folder)
    os.close(handle)
    try:
        s3().download_file(parts.netloc, parts.path.lstrip("/"), temporary)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(target)
    except (BotoCoreError, ClientError) as error:
        raise UnavailableError(f"{uri}: cannot be copied to this host: {error}") from None
    finally:
        Path(temporary).unlink(missing_ok=True)
    return str(target)


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    return error.strerror or str(error) if isinstance(error, OSError) else str(error.args[0])
