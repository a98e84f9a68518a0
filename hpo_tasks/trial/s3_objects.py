"""Objects below an S3 prefix. Imports boto3: import this module only where S3 is used (`open_objects` does)."""

import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from hpo_tasks.errors import IntegrityError, RefusedError
from hpo_tasks.trial.local_files import CHUNK_BYTES, plain_errors, whole_file
from hpo_tasks.trial.objects import check_key, is_key
from hpo_tasks.trial.openat import open_regular
from hpo_tasks.trial.retries import Retries
from hpo_tasks.trial.s3_errors import BOTO_ERRORS, explain, is_denied, is_missing, status

T = TypeVar("T")

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 60.0
_WRITER = "hpo-writer"
_TRANSFER = TransferConfig(max_concurrency=4)


def client_config(
    *, connect_timeout_s: float = CONNECT_TIMEOUT_S, read_timeout_s: float = READ_TIMEOUT_S
) -> Config:
    """Settings for our clients: one try per call, because `Retries` repeats and counts them."""
    return Config(
        connect_timeout=connect_timeout_s,
        read_timeout=read_timeout_s,
        retries={"total_max_attempts": 1, "mode": "standard"},
        tcp_keepalive=True,
    )


def new_client() -> Any:
    """A boto3 S3 client from the environment (AWS_ENDPOINT_URL, credentials, region, profile, instance role).

    Raises:
        RefusedError: the environment's settings make no client.
    """
    try:
        # An own session: the default one is shared by all threads and not safe to build from two of them.
        return boto3.session.Session().client("s3", config=client_config())
    except (BotoCoreError, ValueError) as error:
        raise RefusedError(f"no S3 client from the AWS settings in the environment: {error}") from error


class S3Objects:
    """Implements `Objects` on S3, or on any server with its conditional PUT.

    `create` stays exact when replies get lost: each call puts a token of its own into the object's metadata. "There is
    one already" may be the answer to a repetition of a PUT that was stored; then the object holds our token.

    Attributes:
        may_list: whether the caller has s3:ListBucket, as the control plane has. To whoever has not, as a job, S3 says
            "denied" of an object that does not exist; then `read` takes it for missing.
    """

    may_list = False

    def __init__(self, bucket: str, prefix: str, *, client: Any, retries: Retries) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._given_client = client
        self._retries = retries

    @property
    def uri(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def read(self, key: str, *, limit: int | None = None) -> bytes | None:
        found = self._get(key, limit)
        return found[0] if found else None

    def create(self, key: str, data: bytes) -> bool:
        return self._put_if(key, data, {"IfNoneMatch": "*"})

    def write(self, key: str, data: bytes) -> None:
        self._call(key, partial(self._client.put_object, **self._address(key), Body=data))

    def upload(self, key: str, source: Path) -> None:
        address = self._address(key)

        def send() -> None:
            # boto3 closes the file, so each try opens its own; large files go in parts.
            with plain_errors(source), self._errors(key), open_regular(source) as stream:
                self._client.upload_fileobj(stream, address["Bucket"], address["Key"], Config=_TRANSFER)

        self._call(key, send)

    def download(self, key: str, target: Path) -> bool:
        def fetch() -> bool:
            # One GET, not boto3's ranges: whole even if the object is replaced meanwhile.
            response = self._open(key)
            if response is None:
                return False
            # Order matters: some of boto3's errors are OSErrors too.
            with (
                plain_errors(target),
                self._errors(key),
                closing(response["Body"]) as body,
                whole_file(target) as file,
            ):
                shutil.copyfileobj(body, file, CHUNK_BYTES)
            return True

        return self._call(key, fetch)

    def list(self, prefix: str) -> Iterator[str]:
        if prefix:
            check_key(prefix.removesuffix("/"))
        position: Mapping[str, str] = {}
        more = True
        while more:
            call = partial(
                self._client.list_objects_v2, Bucket=self._bucket, Prefix=self._prefix + prefix, **position
            )
            page = self._call(prefix, call)
            for item in page.get("Contents", ()):
                key = item["Key"].removeprefix(self._prefix)
                if is_key(key):
                    yield key
            more = page["IsTruncated"]
            position = {"ContinuationToken": page["NextContinuationToken"]} if more else {}

    @cached_property
    def _client(self) -> Any:
        return self._given_client or new_client()

    def _address(self, key: str) -> dict[str, str]:
        check_key(key)
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def _open(self, key: str) -> Any:
        """GetObject's response, None if there is no such object. One try."""
        try:
            return self._client.get_object(**self._address(key))
        except ClientError as error:
            if is_missing(error):
                return None
            raise

    def _get(self, key: str, limit: int | None) -> tuple[bytes, str] | None:
        """The object's bytes and its ETag."""

        def fetch() -> tuple[bytes, str] | None:
            try:
                response = self._open(key)
            except ClientError as error:
                if self._may_be_missing(error):
                    return None
                raise
            if response is None:
                return None
            with closing(response["Body"]) as body:
                if limit is not None and response["ContentLength"] > limit:
                    raise IntegrityError(f"{self.uri}/{key} has more than the {limit:,} bytes allowed")
                return body.read(), response["ETag"]

        return self._call(key, fetch)

    def _put_if(self, key: str, data: bytes, condition: Mapping[str, str]) -> bool:
        """Write the object while the condition holds; False if it does not."""
        token = uuid.uuid4().hex
        address = self._address(key)

        def put() -> bool:
            try:
                self._client.put_object(**address, Body=data, Metadata={_WRITER: token}, **condition)
            except ClientError as error:
                if status(error) == 412 or is_missing(error):
                    return self._writer(key) == token
                raise
            return True

        return self._call(key, put)

    def _writer(self, key: str) -> str | None:
        """Token of the call that wrote the object; None if there is no object or it has none. One try."""
        try:
            head = self._client.head_object(**self._address(key))
        except ClientError as error:
            if is_missing(error) or self._may_be_missing(error):
                return None
            raise
        token: str | None = head["Metadata"].get(_WRITER)
        return token

    def _may_be_missing(self, error: ClientError) -> bool:
        return not self.may_list and is_denied(error)

    def _call(self, key: str, call: Callable[[], T]) -> T:
        """Run the call with retries, its errors explained."""

        def once() -> T:
            with self._errors(key):
                return call()

        return self._retries.run(once)

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except BOTO_ERRORS as error:
            raise explain(error, f"{self.uri}/{key}") from error
