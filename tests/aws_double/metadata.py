"""The instance metadata service: what a program asks about the machine that it runs on.

Each host has its own at `<endpoint>/imds/<instance id>/latest/…`, which its programs find in
AWS_EC2_METADATA_SERVICE_ENDPOINT.
"""

import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

ROLE = "instance-role"
Reply = tuple[int, str]


@dataclass
class Host:
    """A machine that runs something.

    Attributes:
        action: what is going to happen to it (`spot/instance-action`); None: nothing.
        tags: callable, so that later tags are seen.
        token_required: IMDSv2 only.
    """

    instance_id: str
    instance_type: str = "m5.large"
    zone: str = "us-east-1a"
    spot: bool = False
    action: dict[str, str] | None = None
    tags: Callable[[], Mapping[str, str]] = dict
    token_required: Callable[[], bool] = lambda: False
    tokens: set[str] = field(default_factory=set)

    def announce(self, action: str, notice_s: float) -> None:
        """Give notice that the machine is taken away in `notice_s` seconds."""
        at = datetime.fromtimestamp(time.time() + notice_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.action = {"action": action, "time": at}


class Metadata:
    """All hosts, by instance id."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hosts: dict[str, Host] = {}

    def add(self, host: Host) -> Host:
        with self._lock:
            self._hosts[host.instance_id] = host
        return host

    def remove(self, instance_id: str) -> None:
        with self._lock:
            self._hosts.pop(instance_id, None)

    def clear(self) -> None:
        with self._lock:
            self._hosts.clear()

    def answer(self, environ: Mapping[str, Any]) -> Reply:
        """Status and text for a request below /imds/."""
        _, _, instance_id, *rest = environ["PATH_INFO"].split("/")
        with self._lock:
            host = self._hosts.get(instance_id)
        if host is None:
            return 404, "no such host, or gone"
        path = "/".join(rest)
        if path == "latest/api/token":
            return _new_token(host, environ)
        token = environ.get("HTTP_X_AWS_EC2_METADATA_TOKEN")
        if (token is None and host.token_required()) or (token is not None and token not in host.tokens):
            return 401, "the token is missing or not valid"
        value = _value(host, path)
        return (404, "") if value is None else (200, value)


def new_instance_id() -> str:
    return f"i-{secrets.token_hex(8)}1"


def _new_token(host: Host, environ: Mapping[str, Any]) -> Reply:
    if environ["REQUEST_METHOD"] != "PUT" or "HTTP_X_AWS_EC2_METADATA_TOKEN_TTL_SECONDS" not in environ:
        return 400, "PUT with X-aws-ec2-metadata-token-ttl-seconds is needed"
    token = secrets.token_urlsafe(16)
    host.tokens.add(token)
    return 200, token


def _value(host: Host, path: str) -> str | None:
    if path == "latest/dynamic/instance-identity/document":
        identity = {"instanceId": host.instance_id, "instanceType": host.instance_type}
        return json.dumps({**identity, "availabilityZone": host.zone, "region": host.zone[:-1]})
    prefix = "latest/meta-data/"
    if not path.startswith(prefix):
        return None
    name = path.removeprefix(prefix).rstrip("/")
    action = host.action
    values = {
        "instance-id": host.instance_id,
        "instance-type": host.instance_type,
        "instance-life-cycle": "spot" if host.spot else "on-demand",
        "placement/availability-zone": host.zone,
        "placement/region": host.zone[:-1],
        "spot/instance-action": None if action is None else json.dumps(action),
        "spot/termination-time": None if action is None else action["time"],
        "iam/security-credentials": ROLE,
        f"iam/security-credentials/{ROLE}": json.dumps(_credentials()),
        "tags/instance": "\n".join(host.tags()),
    }
    if name.startswith("tags/instance/"):
        return host.tags().get(name.removeprefix("tags/instance/"))
    return values.get(name)


def _credentials() -> dict[str, str]:
    return {
        "Code": "Success",
        "Type": "AWS-HMAC",
        "AccessKeyId": "instance-access-key",
        "SecretAccessKey": "instance-secret-key",
        "Token": "instance-token",
        "LastUpdated": "2020-01-01T00:00:00Z",
        "Expiration": "2100-01-01T00:00:00Z",
    }
