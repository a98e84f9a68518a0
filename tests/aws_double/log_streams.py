"""CloudWatch Logs, written line by line by what runs here; read through moto."""

import contextlib
import time
from collections.abc import Callable

from aws_double.calls import ACCOUNT


def open_stream(region: str, group: str, stream: str) -> Callable[[list[str]], None]:
    """Make a log stream; a function that appends lines to it."""
    from moto.logs.models import logs_backends

    logs = logs_backends[ACCOUNT][region]
    logs.ensure_log_group(group)
    logs.ensure_log_stream(group, stream)

    def write(lines: list[str]) -> None:
        at = int(time.time() * 1000)
        with contextlib.suppress(Exception):  # a test may have deleted the group, or reset everything
            logs.put_log_events(group, stream, [{"timestamp": at, "message": line} for line in lines])

    return write
