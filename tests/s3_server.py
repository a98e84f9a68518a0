"""moto's S3 server in a process of its own, on 127.0.0.1, for tests that speak HTTP to a real server.

In tests: the fixture `s3` (conftest.py). Run as a program, this file is the server.
"""

import os
import subprocess
import sys
import threading
import uuid
from functools import cached_property
from typing import Any

ACCESS_KEY = "test-access-key"
SECRET_KEY = "test-secret-key"


class S3Server:
    """An S3 server; its objects live as long as its process.

    Attributes:
        endpoint: http://127.0.0.1:<port>
    """

    def __init__(self) -> None:
        self._port = 0
        self._process: subprocess.Popen[str] | None = None
        self.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start the process; again on the same port after `kill`, without any objects."""
        command = [sys.executable, __file__, str(self._port)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the S3 server did not start: see its standard error above")
        self._port = int(line)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def environment(self, endpoint: str | None = None) -> dict[str, str]:
        """Variables for a process that finds its S3 client's settings in the environment."""
        return {
            "AWS_ENDPOINT_URL": endpoint or self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @cached_property
    def shared_client(self) -> Any:
        """One client for all tests that need no special one: making one takes 0.2 s."""
        return self.client()

    def client(self, endpoint: str | None = None, **timeouts: float) -> Any:
        """A boto3 client with the product's own settings, but for shorter timeouts where a test asks for them."""
        import boto3

        from hpo_tasks.trial.s3_objects import client_config

        return boto3.session.Session().client(
            "s3",
            endpoint_url=endpoint or self.endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
            config=client_config(**timeouts),
        )

    def new_bucket(self) -> str:
        """Make an empty bucket; its name."""
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        self.shared_client.create_bucket(Bucket=name)
        return name


def serve(port: int) -> None:
    """Serve until standard input ends, which it does however the starter dies. Prints the port when it listens."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Handler(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"  # moto's own speaks 1.0: a connection for each request

        def log_request(self, *args: object) -> None:
            """One line per request would hide what a failing test says."""

    application = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", port, application, threaded=True, request_handler=Handler)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
