"""Which service and action a request means, the log of all requests, and errors as each service words them."""

import json
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

ACCOUNT = "123456789012"
QUERY_SERVICES = {"iam", "sts", "cloudformation", "autoscaling", "cloudwatch", "sns"}
LARGEST_LOGGED_BODY = 1 << 16
CREDENTIAL = re.compile(r"Credential=([^/,]+)/\d+/([^/,]+)/([^/,]+)/aws4_request")


class AwsError(Exception):
    """A service says no.

    Attributes:
        code, message, status: as the caller's SDK shows them; status is HTTP's.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class AskMotoError(Exception):
    """Raised by a handler for a call that is not about what we run: moto answers it."""


@dataclass(frozen=True)
class Call:
    """One request.

    Attributes:
        service: name that it is signed for, such as `batch`; "" if it is not signed.
        action: such as `SubmitJob`; as the service's policies name it.
        parameters: the request's own, as far as they are JSON or a form; for S3 Bucket and Key.
    """

    service: str
    action: str
    region: str = "us-east-1"
    access_key: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    at: float = field(default_factory=time.time)

    def get(self, name: str, default: Any = None) -> Any:
        value = self.parameters.get(name)
        return default if value is None else value

    def entry(self) -> dict[str, Any]:
        """For the log."""
        return {
            "time": self.at,
            "service": self.service,
            "action": self.action,
            "access_key": self.access_key,
            "parameters": dict(self.parameters),
        }


class CallLog:
    """Every call that came in, in order, refused ones included."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[dict[str, Any]] = []

    def add(self, call: Call) -> dict[str, Any]:
        """The entry, for what is learned later (its status)."""
        entry = call.entry()
        with self._lock:
            self._entries.append(entry)
        return entry

    def select(self, service: str | None = None, action: str | None = None) -> list[dict[str, Any]]:
        """Those of one service and whose action fits a regular expression (case does not matter)."""
        with self._lock:
            entries = list(self._entries)
        pattern = re.compile(action or ".*", re.IGNORECASE)
        return [e for e in entries if service in {None, e["service"]} and pattern.fullmatch(e["action"])]

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()


def read_call(environ: Mapping[str, Any]) -> Call:
    """What a request means; never fails."""
    query = parse_qs(environ["QUERY_STRING"], keep_blank_values=True)
    signed = environ.get("HTTP_AUTHORIZATION", "") or f"Credential={query.get('X-Amz-Credential', [''])[0]}"
    match = CREDENTIAL.search(signed)
    access_key, region, service = match.groups() if match else ("", "us-east-1", "")
    action, parameters = _meaning(service, environ, query)
    return Call(service, action, region, access_key, parameters)


def _meaning(
    service: str, environ: Mapping[str, Any], query: dict[str, list[str]]
) -> tuple[str, dict[str, Any]]:
    body: bytes = environ["aws_double.body"]
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return target.split(".")[-1], _json(body)
    if environ["CONTENT_TYPE"].startswith("application/x-www-form-urlencoded") and b"Action=" in body:
        form = {name: values[0] for name, values in parse_qs(body.decode(), keep_blank_values=True).items()}
        return form.get("Action", ""), form
    if "Action" in query:
        return query["Action"][0], {name: values[0] for name, values in query.items()}
    action, labels = _rest_operation(service, environ)
    return action, labels if service == "s3" else {**_json(body), **labels}


def _rest_operation(service: str, environ: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The action of a request that is known by its method and path only, and what its path says."""
    from moto.core.request import Request
    from moto.core.routing import get_service_router
    from werkzeug.exceptions import HTTPException

    fallback = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
    if not service:
        return fallback, {}
    try:
        operation, labels = get_service_router(service).match(Request(dict(environ)))
    except (HTTPException, NotImplementedError, LookupError, ValueError):
        return fallback, {}
    except Exception as error:  # botocore knows no such service
        if type(error).__name__ != "UnknownServiceError":
            raise
        return fallback, {}
    return operation.name, dict(labels)


def _json(body: bytes) -> dict[str, Any]:
    if not body or len(body) > LARGEST_LOGGED_BODY * 16:
        return {}
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def error_reply(call: Call, error: AwsError) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body of an error in the form that the service's clients read."""
    code, message = escape(error.code), escape(error.message)
    if call.service == "ec2":
        inner = f"<Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
        text = f"<Response>{inner}<RequestID>double</RequestID></Response>"
    elif call.service in QUERY_SERVICES:
        inner = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        text = f"<ErrorResponse>{inner}<RequestId>double</RequestId></ErrorResponse>"
    elif call.service in {"s3", ""}:
        text = f"<Error><Code>{code}</Code><Message>{message}</Message><RequestId>double</RequestId></Error>"
    else:
        body = json.dumps({"__type": error.code, "message": error.message}).encode()
        return error.status, [("Content-Type", "application/json"), ("x-amzn-ErrorType", error.code)], body
    return error.status, [("Content-Type", "application/xml")], f'<?xml version="1.0"?>{text}'.encode()
