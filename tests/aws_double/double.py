"""The test's side of the double: starts it, gives clients and environments, makes things go wrong.

In tests: the fixture `aws` (conftest.py).
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import uuid
from functools import cache
from pathlib import Path
from typing import Any

ACCESS_KEY = "test-access-key"
SECRET_KEY = "test-secret-key"
REGION = "us-east-1"
TESTS = Path(__file__).parents[1]
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class AwsDouble:
    """AWS in a process of its own, on 127.0.0.1. What is submitted to it really runs, and dies with it.

    Attributes:
        endpoint: http://127.0.0.1:<port>
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="aws-double-"))
        self._port = 0
        self.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self) -> None:
        """Start the process; again on the same port after `kill`, with nothing in it."""
        self._folder.mkdir(exist_ok=True)
        own = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith("AWS_") and not k.lower().endswith("_proxy")
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "aws_double.server", str(self._port), str(self._folder)],
            env={**own, "PYTHONPATH": str(TESTS)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the double of AWS did not start: see its standard error above")
        self._port = int(line)

    def kill(self) -> None:
        """End it at once; everything that ran in it is gone."""
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def environment(self, endpoint: str | None = None) -> dict[str, str]:
        """Variables for a process that finds its clients' settings in the environment."""
        return {
            "AWS_ENDPOINT_URL": endpoint or self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str, *, region: str = REGION, retries: int = 0) -> Any:
        """A boto3 client; one for each set of arguments. Without retries, so that a test sees each error."""
        return _client(service, self.endpoint, region, retries)

    def inject(self, path: str, **body: Any) -> Any:
        """POST to /_exec/<path>, such as inject("batch/oom", jobId=…); its answer.

        Raises:
            ValueError: the double refuses, and says why.
        """
        request = urllib.request.Request(
            f"{self.endpoint}/_exec/{path}", json.dumps(body).encode(), method="POST"
        )
        try:
            with NO_PROXY.open(request, timeout=120) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            raise ValueError(f"/_exec/{path}: {error.read().decode()}") from error

    def calls(self, service: str | None = None, action: str | None = None) -> list[dict[str, Any]]:
        """Calls since the last reset, of a service and with an action that fits a regular expression.

        Each has time, service, action, access_key, parameters and status. Jobs call with another key than tests.
        """
        return self.inject("calls", service=service, action=action)

    def alive(self) -> dict[str, list[str]]:
        """Ids of what is not over, by service: jobs, instances."""
        return self.inject("alive")

    def reset(self) -> None:
        """End what runs, forget everything; starts the process again if it was killed."""
        if self._process.poll() is not None:
            self.start()
        else:
            self.inject("reset")

    def stop_everything(self) -> None:
        """End what runs, if anything does."""
        if self._process.poll() is None and any(self.alive().values()):
            self.reset()

    def new_bucket(self) -> str:
        """Make an empty bucket; its name."""
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        self.client("s3").create_bucket(Bucket=name)
        return name


@cache
def _client(service: str, endpoint: str, region: str, retries: int) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.session.Session().client(
        service,
        endpoint_url=endpoint,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name=region,
        config=Config(
            retries={"total_max_attempts": 1 + retries, "mode": "standard"}, max_pool_connections=64
        ),
    )
