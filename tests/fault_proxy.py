"""An HTTP proxy in front of a server, on 127.0.0.1, that fails in the ways that networks and servers fail."""

import http.client
import random
import socket
import struct
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

Kind = Literal["answer", "drop", "lose_reply", "stall", "cut"]

_METHODS = ("GET", "PUT", "POST", "HEAD", "DELETE")


@dataclass(frozen=True)
class Fault:
    """What happens to one request.

    Attributes:
        kind: `answer`: reply `status` and `code` without asking the server; `drop`: reset before the server sees it;
            `lose_reply`: the server does it, then the connection is reset; `stall`: the server does it, but no reply
            comes until the client hangs up; `cut`: half of the reply's body, then reset.
        method: the HTTP method it waits for; requests of other methods pass.
    """

    kind: Kind
    method: str = "PUT"
    status: int = 503
    code: str = "SlowDown"


class FaultProxy:
    """Passes HTTP requests to `upstream`, but for injected faults.

    Attributes:
        endpoint: http://127.0.0.1:<port>
        requests: (method, path) of all requests so far.
        stripped: names of request headers that are left out, in lower case.
        choose: fault for a request's method, or None; called with a lock held.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = urlsplit(upstream).netloc
        self._lock = threading.Lock()
        self.reset()

        def forward(request: _Handler) -> None:
            self._handle(request)

        handler = type("Handler", (_Handler,), {f"do_{method}": forward for method in _METHODS})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def reset(self) -> None:
        """Forget faults and requests."""
        self._waiting: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self.stripped: set[str] = set()
        self.choose: Callable[[str], Fault | None] = self._next_fault

    def inject(self, *faults: Fault) -> None:
        """Queue faults; the next request of a fault's method gets the first that waits for it."""
        self._waiting.extend(faults)

    def fail_randomly(self, faults: list[Fault], *, share: float, seed: int) -> None:
        """From now on that share of the requests gets one of the faults."""
        source = random.Random(seed)

        def choose(method: str) -> Fault | None:
            fitting = [fault for fault in faults if fault.method == method]
            return source.choice(fitting) if fitting and source.random() < share else None

        self.choose = choose

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _next_fault(self, method: str) -> Fault | None:
        fault = next((fault for fault in self._waiting if fault.method == method), None)
        if fault:
            self._waiting.remove(fault)
        return fault

    def _handle(self, request: "_Handler") -> None:
        with self._lock:
            self.requests.append((request.command, request.path))
            fault = self.choose(request.command)
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        if fault and fault.kind == "drop":
            return request.reset()
        if fault and fault.kind == "answer":
            return request.answer(fault.status, error_body(fault.code))
        status, headers, reply = self._ask_upstream(request, body)
        if fault and fault.kind == "lose_reply":
            return request.reset()
        if fault and fault.kind == "stall":
            request.connection.recv(1)  # returns when the client hangs up
            return request.reset()
        return request.answer(status, reply, headers, cut=bool(fault))

    def _ask_upstream(self, request: "_Handler", body: bytes) -> tuple[int, dict[str, str], bytes]:
        headers = {
            name: value for name, value in request.headers.items() if name.lower() not in self.stripped
        }
        headers.pop("Expect", None)  # answered by this proxy already
        upstream = http.client.HTTPConnection(self._upstream)
        try:
            upstream.request(request.command, request.path, body, headers)
            response = upstream.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            upstream.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are what these tests are about; anything else is a bug here and is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Silent."""

    def answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, *, cut: bool = False
    ) -> None:
        """Send a reply; `cut`: half of its body, then a reset."""
        headers = dict(headers or {})
        if self.command != "HEAD":
            headers["Content-Length"] = str(len(body))
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in {"connection", "transfer-encoding"}:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.wfile.flush()
            self.reset()

    def reset(self) -> None:
        """Close the connection with a TCP reset."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def error_body(code: str) -> bytes:
    return f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>injected</Message></Error>'.encode()
