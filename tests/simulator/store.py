"""The object store, in memory: linearisable, with replies that get lost and writes that arrive late.

Each call keeps the promise of `store.base.Store`; beyond it nothing is promised, so nothing is given.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator

from hpo_tasks.errors import IntegrityError
from tests.simulator.scheduler import Scheduler

Watch = Callable[[str, bytes | None, bytes | None], None]
"""Told of every change: key, bytes before, bytes after; None is no object."""


class MemoryStore:
    """Implements `Store` for every process of a history; `current` of the scheduler is the caller."""

    uri = "memory:///store"

    def __init__(self, scheduler: Scheduler) -> None:
        self.objects: dict[str, bytes] = {}
        self.watches: list[Watch] = []
        self._scheduler = scheduler

    def read(self, key: str, *, limit: int | None = None) -> bytes | None:
        found = self._call(f"read {key}", lambda: self.objects.get(key))
        if found is not None and limit is not None and len(found) > limit:
            raise IntegrityError(f"{key} has more than the {limit:,} bytes allowed")
        return found

    def create(self, key: str, data: bytes) -> bool:
        return self._call(f"create {key}", lambda: self._create(key, data), repeatable=True)

    def write(self, key: str, data: bytes) -> None:
        self._call(f"write {key}", lambda: self._put(key, data), repeatable=True)

    def list(self, prefix: str) -> Iterator[str]:
        found = self._call(f"list {prefix}", lambda: [key for key in self.objects if key.startswith(prefix)])
        return iter(sorted(found))

    def delete(self, keys: Iterable[str]) -> int:
        names = list(keys)
        if not names:
            return 0
        return self._call(f"delete {' '.join(names)}", lambda: sum(map(self._drop, names)), repeatable=True)

    def read_versioned(self, key: str) -> tuple[bytes, str] | None:
        data = self.read(key)
        return None if data is None else (data, _version(data))

    def replace(self, key: str, data: bytes, *, version: str | None) -> bool:
        # Not to be repeated by the network: a late one would be told "somebody was first", and nothing happens.
        return self._call(f"replace {key}", lambda: self._replace(key, data, version))

    def copy(self, source: str, target: str) -> None:
        self._call(f"copy {source} {target}", lambda: self._put(target, self.objects[source]))

    def probe(self) -> None:
        self._call("probe", lambda: None)

    def _call(self, what: str, effect: Callable, *, repeatable: bool = False):
        return self._scheduler.call(f"store: {what}", "store", effect, repeatable=repeatable)

    # Effects: what happens in the store, at one instant.

    def _create(self, key: str, data: bytes) -> bool:
        if key in self.objects:
            return False
        self._put(key, data)
        return True

    def _replace(self, key: str, data: bytes, version: str | None) -> bool:
        current = self.objects.get(key)
        if (None if current is None else _version(current)) != version:
            return False
        self._put(key, data)
        return True

    def _put(self, key: str, data: bytes | None) -> None:
        before = self.objects.get(key)
        if data is None:
            self.objects.pop(key, None)
        else:
            self.objects[key] = data
        if before != data:
            for watch in self.watches:
                watch(key, before, data)

    def _drop(self, key: str) -> bool:
        there = key in self.objects
        self._put(key, None)
        return there


def _version(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
