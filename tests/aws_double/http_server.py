"""HTTP/1.1 with connections that stay open, in front of a WSGI application, on 127.0.0.1.

werkzeug's own server closes each connection, and waits 10 ms for it.
"""

import io
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote_to_bytes


class ReplyLostError(Exception):
    """The caller is to get no reply: its connection breaks."""


class Server(ThreadingHTTPServer):
    """Serves one WSGI application, a daemon thread for each connection."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, port: int, application: Any) -> None:
        self.application = application
        super().__init__(("127.0.0.1", port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up in the middle is nothing to report."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, *args: object) -> None:
        """One line per request would hide what a failing test says."""

    def _serve(self) -> None:
        body = self._body()
        reply: list[Any] = []
        try:
            parts = self.server.application(self._environ(body), lambda *head: reply.extend(head[:2]))
            content = b"".join(parts)
        except ReplyLostError:
            self.close_connection = True
            return
        status, headers = reply
        code, _, phrase = status.partition(" ")
        self.send_response(int(code), phrase)
        named = {name.lower() for name, _ in headers}
        for name, value in headers:
            if name.lower() not in {"date", "server", "connection"}:
                self.send_header(name, value)
        if "content-length" not in named and int(code) not in {204, 304}:
            self.send_header("Content-Length", str(len(content)))
        self._headers_buffer.append(b"\r\n")
        if self.command != "HEAD":
            self._headers_buffer.append(content)
        self.flush_headers()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = _serve  # noqa: N815

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        content = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return content

    def _environ(self, body: bytes) -> dict[str, Any]:
        path, _, query = self.path.partition("?")
        environ = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "REQUEST_URI": self.path,
            "RAW_URI": self.path,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": str(self.server.server_port),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": self.client_address[0],
            "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "aws_double.body": body,
        }
        for name, value in self.headers.items():
            key = "HTTP_" + name.upper().replace("-", "_")
            if key not in {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"}:
                environ[key] = f"{environ[key]},{value}" if key in environ else value
        return environ
