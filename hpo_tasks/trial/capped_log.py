"""A program's output, of which only the first and the last megabytes are kept, so that no program fills a disk."""

from collections import deque
from collections.abc import Iterator

HEAD_BYTES = 5 << 20
TAIL_BYTES = 5 << 20
_BLOCK_BYTES = 64 << 10


class CappedLog:
    """Keeps the first `head_bytes` and the last `tail_bytes` of what is written, and how much was cut between.

    Attributes:
        size: bytes written so far.
    """

    def __init__(self, *, head_bytes: int = HEAD_BYTES, tail_bytes: int = TAIL_BYTES) -> None:
        self._head = bytearray()
        self._head_bytes = head_bytes
        self._tail: deque[bytearray] = deque()
        self._tail_bytes = tail_bytes
        self._tail_size = 0
        self._cut = 0
        self.size = 0

    def write(self, chunk: bytes) -> None:
        self.size += len(chunk)
        room = self._head_bytes - len(self._head)
        if room > 0:
            self._head += chunk[:room]
            chunk = chunk[room:]
        if not chunk:
            return
        # Blocks, because a program that writes single bytes would otherwise cost an object for each.
        if self._tail and len(self._tail[-1]) < _BLOCK_BYTES:
            self._tail[-1] += chunk
        else:
            self._tail.append(bytearray(chunk))
        self._tail_size += len(chunk)
        while self._tail_size - len(self._tail[0]) >= self._tail_bytes:
            self._cut += len(self._tail[0])
            self._tail_size -= len(self._tail.popleft())

    def pieces(self) -> Iterator[bytes]:
        """What is kept, in order; a mark stands where bytes were cut."""
        yield bytes(self._head)
        over = max(0, self._tail_size - self._tail_bytes)
        if self._cut + over:
            yield f"\n[… {self._cut + over:,} bytes of output cut here …]\n".encode()
        for place, block in enumerate(self._tail):
            yield bytes(block[over:] if place == 0 else block)

    def last(self, size: int) -> bytes:
        """The last `size` bytes written."""
        data = b""
        for block in reversed(self._tail):
            data = bytes(block) + data
            if len(data) >= size:
                return data[-size:]
        return (bytes(self._head[-size:]) + data)[-size:]
