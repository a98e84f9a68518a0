"""S3 that obeys policies: a proxy before the S3 server that asks `allows` about each request of one bucket."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree as ET

from fault_proxy import FaultProxy, error_body

from tests.infra.policies import allows

ACTIONS = {
    "GET": "s3:GetObject",
    "HEAD": "s3:GetObject",
    "PUT": "s3:PutObject",
    "POST": "s3:PutObject",  # multipart uploads
    "DELETE": "s3:DeleteObject",
}
CONDITIONS = {"If-None-Match": "s3:if-none-match", "If-Match": "s3:if-match"}


class PolicyProxy(FaultProxy):
    """Lets through what the documents allow; says "denied" of all else, and of missing objects to who may not list.

    Attributes:
        denied: (action, key) of all that was refused.
    """

    def __init__(self, upstream: str, documents: Iterable[Mapping], *, bucket: str, known_as: str) -> None:
        """Bucket `bucket` of the server stands for the one that the policies call `known_as`."""
        self.denied: list[tuple[str, str]] = []
        self._documents = list(documents)
        self._bucket, self._known_as = bucket, known_as
        self._denied_lock = threading.Lock()
        super().__init__(upstream)

    def _handle(self, request) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        url = urlsplit(request.path)
        bucket, _, key = unquote(url.path).lstrip("/").partition("/")
        query = parse_qs(url.query, keep_blank_values=True)
        if bucket != self._bucket or not all(
            self._allows(*call) for call in _calls(request, key, query, body)
        ):
            return self._refuse(request, key)
        status, headers, reply = self._ask_upstream(request, body)
        if status == 404 and not self._allows("s3:ListBucket", "", {}):
            return self._refuse(request, key)
        return request.answer(status, reply, headers)

    def _allows(self, action: str, key: str, context: Mapping) -> bool:
        resource = f"arn:aws:s3:::{self._known_as}" + (f"/{key}" if key else "")
        return allows(self._documents, action, resource, {"aws:SecureTransport": True, **context})

    def _refuse(self, request, key: str) -> None:
        with self._denied_lock:
            self.denied.append((request.command, key))
        request.answer(403, error_body("AccessDenied"))


def _calls(
    request, key: str, query: Mapping[str, list[str]], body: bytes
) -> Iterator[tuple[str, str, dict[str, object]]]:
    """(action, key, condition keys) of everything that IAM would ask about for one request."""
    if not key and "delete" in query:
        for each in ET.fromstring(body).iterfind(".//{*}Key"):
            yield "s3:DeleteObject", each.text, {}
    elif not key:
        yield "s3:ListBucket", "", {"s3:prefix": query["prefix"]} if "prefix" in query else {}
    elif request.command == "DELETE" and "uploadId" in query:
        yield "s3:AbortMultipartUpload", key, {}
    else:
        headers = request.headers
        if source := headers.get("x-amz-copy-source"):
            yield "s3:GetObject", unquote(source).lstrip("/").partition("/")[2], {}
        context = {name: headers[header] for header, name in CONDITIONS.items() if header in headers}
        yield ACTIONS[request.command], key, context
