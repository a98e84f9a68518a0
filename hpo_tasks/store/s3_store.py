"""The control plane's object store on S3. Imports boto3: import this module only where S3 is used."""

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import islice

from botocore.exceptions import ClientError

from hpo_tasks.errors import IntegrityError, UnavailableError
from hpo_tasks.store.probe import probe
from hpo_tasks.trial.objects import check_key
from hpo_tasks.trial.s3_errors import explain_code, is_missing
from hpo_tasks.trial.s3_objects import S3Objects

DELETE_BATCH = 1000
"""The most keys that one DeleteObjects takes."""


class S3Store(S3Objects):
    """Implements `Store` on S3. A version is an ETag."""

    may_list = True

    def delete(self, keys: Iterable[str]) -> int:
        waiting = iter(keys)
        deleted = 0
        while batch := list(islice(waiting, DELETE_BATCH)):
            self._call("", partial(self._delete_batch, batch))
            deleted += len(batch)
        return deleted

    def read_versioned(self, key: str) -> tuple[bytes, str] | None:
        return self._get(key, limit=None)

    def replace(self, key: str, data: bytes, *, version: str | None) -> bool:
        return self._put_if(key, data, {"IfNoneMatch": "*"} if version is None else {"IfMatch": version})

    def copy(self, source: str, target: str) -> None:
        from_, to = self._address(source), self._address(target)

        def copy() -> None:
            try:
                self._client.copy(from_, to["Bucket"], to["Key"])
            except ClientError as error:
                if is_missing(error):
                    raise IntegrityError(
                        f"{self.uri}/{source} does not exist, so it cannot be copied"
                    ) from error
                raise

        self._call(source, copy)

    def probe(self) -> None:
        probe(self)

    def _delete_batch(self, keys: Sequence[str]) -> None:
        """Delete up to 1,000 objects. One try; repeating it is harmless."""
        for key in keys:
            check_key(key)
        objects = [{"Key": self._prefix + key} for key in keys]
        response = self._client.delete_objects(
            Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True}
        )
        errors = [
            explain_code(
                str(e.get("Code", "")), str(e.get("Message", "")), f"DeleteObjects {self.uri}/{e.get('Key')}"
            )
            for e in response.get("Errors", ())
        ]
        refused = [error for error in errors if not isinstance(error, UnavailableError)]
        if errors:
            raise (refused or errors)[0]
