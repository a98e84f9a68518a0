"""What boto3's exceptions mean: refused (with the remedy) or unavailable. No I/O."""

from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from hpo_tasks.errors import HpoError, RefusedError, UnavailableError

BOTO_ERRORS = (BotoCoreError, ClientError, ResponseParserError)

_CREDENTIALS = (
    "check the Airflow connection, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment"
)
_REGION = "the bucket is in another region: set region_name in the connection, or AWS_DEFAULT_REGION"
_EXPIRED = "the temporary credentials have expired: renew them"
_DENIED = "permission denied: docs/object-store.md lists the IAM actions that the role or key needs"
_REMEDIES = {
    "AccessDenied": _DENIED,
    "AllAccessDisabled": _DENIED,
    "403": _DENIED,  # a HEAD request's answer has no text
    "NoSuchBucket": "there is no such bucket: create it, or correct the address",
    "InvalidBucketName": "that is no valid bucket name: correct the address",
    "InvalidAccessKeyId": f"the access key is unknown there: {_CREDENTIALS}",
    "SignatureDoesNotMatch": f"the secret key is wrong: {_CREDENTIALS}",
    "ExpiredToken": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "InvalidToken": f"the session token is not valid: {_CREDENTIALS}",
    "RequestTimeTooSkewed": "this machine's clock is wrong by more than 15 minutes: set it",
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "301": _REGION,
    "NotImplemented": "this server lacks a feature of S3 that is needed: docs/object-store.md lists them",
    "MethodNotAllowed": "this server lacks a feature of S3 that is needed: docs/object-store.md lists them",
}

_TRANSIENT_STATUS = frozenset({408, 409, 429, 500, 502, 503, 504})
_TRANSIENT_CODES = frozenset(
    {
        "BadDigest",  # damaged on the way
        "ConditionalRequestConflict",  # two conditional writes of one key at once: S3 asks to repeat
        "IncompleteBody",
        "InternalError",
        "NoSuchUpload",  # somebody aborted the multipart upload: begin again
        "OperationAborted",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
    }
)
_NO_ANSWER = (
    boto.ConnectionError,
    boto.CredentialRetrievalError,
    boto.FlexibleChecksumError,
    boto.HTTPClientError,
    boto.IncompleteReadError,
    boto.MetadataRetrievalError,
    ResponseParserError,
)


def explain(error: Exception, where: str) -> HpoError:
    """The project's error for one of `BOTO_ERRORS`; `where` is the object's address."""
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        code, message = str(details.get("Code", "")), str(details.get("Message", ""))
        return explain_code(code, message, f"{error.operation_name} {where}", status(error))
    if isinstance(error, boto.SSLError):
        return RefusedError(f"{where}: the server's certificate is not accepted: set AWS_CA_BUNDLE ({error})")
    if isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError)):
        return RefusedError(f"{where}: no complete AWS credentials: {_CREDENTIALS}")
    if isinstance(error, _NO_ANSWER):
        return UnavailableError(f"{where}: S3 does not answer: {error}")
    return RefusedError(f"{where}: {error}")


def explain_code(code: str, message: str, where: str, http_status: int | None = None) -> HpoError:
    """The project's error for an S3 error code, as of a whole call or of one key in a batch."""
    if code in _TRANSIENT_CODES or http_status in _TRANSIENT_STATUS:
        return UnavailableError(f"{where}: S3 cannot do it now: {code} {message}")
    return RefusedError(f"{where}: {_REMEDIES.get(code) or f'S3 refuses: {code} {message}'}")


def status(error: ClientError) -> int:
    """HTTP status of the answer."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_missing(error: ClientError) -> bool:
    """Whether the answer is "no such object" (and not "no such bucket")."""
    return error.response.get("Error", {}).get("Code") in {"NoSuchKey", "NotFound", "404"}


def is_denied(error: ClientError) -> bool:
    """Whether the answer is "permission denied", and not that there is something wrong with the credentials."""
    return error.response.get("Error", {}).get("Code") in {"AccessDenied", "403"}
