"""What boto3's exceptions of the compute services mean: refused (with the remedy) or unavailable. No I/O."""

from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from hpo_tasks.errors import HpoError, RefusedError, UnavailableError

BOTO_ERRORS = (BotoCoreError, ClientError, ResponseParserError)

_CREDENTIALS = "check `backend.connection`, or the AWS settings of the environment"
_REMEDIES = {
    "AccessDenied": "permission denied: docs/aws-setup.md lists the IAM actions of the control plane",
    "AccessDeniedException": "permission denied: docs/aws-setup.md lists the IAM actions of the control plane",
    "UnauthorizedOperation": "permission denied: docs/aws-setup.md lists the IAM actions of the control plane",
    "UnrecognizedClientException": f"the access key is unknown there: {_CREDENTIALS}",
    "InvalidClientTokenId": f"the access key is unknown there: {_CREDENTIALS}",
    "InvalidSignatureException": f"the secret key is wrong: {_CREDENTIALS}",
    "SignatureDoesNotMatch": f"the secret key is wrong: {_CREDENTIALS}",
    "ExpiredToken": "the temporary credentials have expired: renew them",
    "ExpiredTokenException": "the temporary credentials have expired: renew them",
}
_TRANSIENT_STATUS = frozenset({408, 409, 429, 500, 502, 503, 504})
_TRANSIENT_CODES = frozenset(
    {
        "InternalFailure",
        "InternalServerError",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestTimeout",
        "ServerException",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_NO_ANSWER = (
    boto.ConnectionError,
    boto.CredentialRetrievalError,
    boto.HTTPClientError,
    boto.IncompleteReadError,
    boto.MetadataRetrievalError,
    ResponseParserError,
)


def explain(error: Exception, where: str) -> HpoError:
    """The project's error for one of `BOTO_ERRORS`; `where` names the service and what was asked of it."""
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        code, message = str(details.get("Code", "")), str(details.get("Message", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code in _TRANSIENT_CODES or status in _TRANSIENT_STATUS:
            return UnavailableError(f"{where}: AWS cannot do it now: {code} {message}")
        return RefusedError(f"{where}: {_REMEDIES.get(code) or f'AWS refuses: {code} {message}'}")
    if isinstance(error, boto.NoRegionError):
        return RefusedError(f"{where}: no region: set `backend.region`, or region_name in the connection")
    if isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError)):
        return RefusedError(f"{where}: no complete AWS credentials: {_CREDENTIALS}")
    if isinstance(error, _NO_ANSWER):
        return UnavailableError(f"{where}: AWS does not answer: {error}")
    return RefusedError(f"{where}: {error}")
