"""What is said over the socket between a train task and the trial parent: one order, its descriptors, one answer."""

import json
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

PATIENCE_S = 10.0
"""How long each side waits for the other's next bytes."""
STARTED = b"started"
_LENGTH = struct.Struct("!Q")
_MAX_ORDER_BYTES = 64 << 20
_MAX_DESCRIPTORS = 200
_MAX_ANSWER_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Order:
    """One job to start. Its descriptors come with it: standard output, then the locks that it holds while it lives.

    Attributes:
        uri: of the attempt's request.
        env: all variables of the runner.
        hide, show: what it sees of the host's files; `hide` is None without namespaces.
        gpus: folder of the locks, names, and how many of them it has to wait for; None if it has what it needs.
    """

    uri: str
    env: dict[str, str]
    hide: list[str] | None
    show: list[str]
    gpus: tuple[str, list[str], int] | None


def ask(parent: socket.socket, order: Order, descriptors: Sequence[int]) -> str:
    """Send an order; returns "" when its job was started, else what the parent says.

    Raises:
        OSError: the parent is gone or hangs. Whether the job was started is not known then: its lock says so.
    """
    parent.settimeout(PATIENCE_S)
    body = json.dumps(asdict(order)).encode()
    socket.send_fds(parent, [_LENGTH.pack(len(body))], descriptors)
    parent.sendall(body)
    answer = parent.recv(_MAX_ANSWER_BYTES)
    if not answer:
        raise ConnectionError("the trial parent ended before it answered")
    return "" if answer == STARTED else answer.decode(errors="replace")


def receive(client: socket.socket) -> tuple[Order, list[int]]:
    """One order, and the descriptors that belong to it; the caller closes them.

    Raises:
        OSError: the client is gone, or does not go on.
    """
    client.settimeout(PATIENCE_S)
    head, descriptors, _, _ = socket.recv_fds(client, _LENGTH.size, _MAX_DESCRIPTORS)
    try:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)  # noqa: FBT003 - the standard library's signature
        length = _LENGTH.unpack(head + _receive(client, _LENGTH.size - len(head)))[0]
        return Order(**json.loads(_receive(client, min(length, _MAX_ORDER_BYTES)))), descriptors
    except BaseException:
        for descriptor in descriptors:
            os.close(descriptor)
        raise


def _receive(client: socket.socket, length: int) -> bytes:
    body = bytearray()
    while len(body) < length:
        piece = client.recv(1 << 16)
        if not piece:
            raise ConnectionError("the client is gone")
        body += piece
    return bytes(body)


@contextmanager
def short_path(path: Path) -> Iterator[str]:
    """Another path to the file: one that fits into a socket address, which holds some 100 characters."""
    if not Path("/proc/self/fd").is_dir():
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
