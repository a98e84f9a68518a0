"""What boto3's exceptions mean to the caller. Those that a server can provoke are in test_s3_faults.py."""

import pytest
from botocore import exceptions as boto
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from hpo_tasks.errors import HpoError, RefusedError, UnavailableError
from hpo_tasks.trial.s3_errors import explain, explain_code

URL = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (boto.ConnectTimeoutError(endpoint_url=URL), UnavailableError),
        (boto.ReadTimeoutError(endpoint_url=URL), UnavailableError),
        (boto.EndpointConnectionError(endpoint_url=URL), UnavailableError),
        (boto.ConnectionClosedError(endpoint_url=URL), UnavailableError),
        (boto.ProxyConnectionError(proxy_url=URL), UnavailableError),
        (boto.IncompleteReadError(actual_bytes=1, expected_bytes=2), UnavailableError),
        (boto.ResponseStreamingError(error="cut off"), UnavailableError),
        (boto.FlexibleChecksumError(error_msg="damaged"), UnavailableError),
        (boto.MetadataRetrievalError(error_msg="no role yet"), UnavailableError),
        (boto.CredentialRetrievalError(provider="sts", error_msg="busy"), UnavailableError),
        (ResponseParserError("a proxy's HTML page"), UnavailableError),
        (boto.SSLError(endpoint_url=URL, error="self-signed"), RefusedError),
        (boto.NoCredentialsError(), RefusedError),
        (boto.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"), RefusedError),
        (boto.ProfileNotFound(profile="team"), RefusedError),
        (boto.ParamValidationError(report="bad"), RefusedError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_only_what_may_pass_is_tried_again(error: Exception, expected: type[HpoError]) -> None:
    explained = explain(error, "s3://bucket/key")

    assert type(explained) is expected
    assert str(explained).startswith("s3://bucket/key: ")


def test_another_region_is_named() -> None:
    response = {
        "Error": {"Code": "AuthorizationHeaderMalformed", "Message": "expecting 'eu-west-1'"},
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }
    error = explain(ClientError(response, "GetObject"), "s3://bucket/key")

    assert isinstance(error, RefusedError)
    assert str(error).startswith(
        "GetObject s3://bucket/key: the bucket is in another region: set region_name"
    )


def test_codes_of_a_batch_are_judged_without_a_status() -> None:
    assert isinstance(explain_code("InternalError", "again", "s3://bucket/key"), UnavailableError)
    assert isinstance(explain_code("AccessDenied", "no", "s3://bucket/key"), RefusedError)
