"""A process that works on a store, for tests with several: says "ready", waits for a line, then does its work.

Usage: python store_worker.py ACTION URI NAME COUNT
"""

import hashlib
import sys
from itertools import count

from hpo_tasks.store import Store, open_store

REWRITTEN = "rewritten"
REWRITTEN_BYTES = 300_000
COUNTER = "counter"


def create(store: Store, name: str, rounds: int) -> None:
    """Try to create `rounds` objects; print the keys of those that were created."""
    for number in range(rounds):
        if store.create(f"race/{number:03d}", name.encode()):
            sys.stdout.write(f"race/{number:03d}\n")


def increment(store: Store, _name: str, times: int) -> None:
    """Add one to the counter, `times` times."""
    for _ in range(times):
        done = False
        while not done:
            value, version = store.read_versioned(COUNTER) or (b"0", None)
            done = store.replace(COUNTER, b"%d" % (int(value) + 1), version=version)


def rewrite(store: Store, _name: str, times: int) -> None:
    """Write an object `times` times (0: for ever), each content led by its own digest."""
    for number in range(times) if times else count():
        store.write(REWRITTEN, sealed(number))


def sealed(number: int) -> bytes:
    body = hashlib.sha256(b"%d" % number).digest() * (REWRITTEN_BYTES // 32)
    return hashlib.sha256(body).digest() + body


def is_whole(data: bytes) -> bool:
    return len(data) > 32 and hashlib.sha256(data[32:]).digest() == data[:32]


def main(action: str, uri: str, name: str, number: str) -> None:
    store = open_store(uri)
    store.read("nothing")  # imports, connection: before the start, so that all start together
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    {"create": create, "increment": increment, "rewrite": rewrite}[action](store, name, int(number))


if __name__ == "__main__":
    main(*sys.argv[1:])
