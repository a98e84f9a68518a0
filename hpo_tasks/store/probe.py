"""Does this object store keep what the protocol relies on? Asked once, before anything is started."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from hpo_tasks.errors import HpoError, RefusedError

if TYPE_CHECKING:
    from hpo_tasks.store.base import Store

RACES = 4
RACERS = 8


def probe(store: "Store") -> None:
    """Exercise the store on small objects of its own, and take them away again, also when it fails half-way.

    Raises:
        RefusedError: naming what the store lacks.
        UnavailableError: it does not answer.
    """
    folder = f"probe/{uuid.uuid4().hex}/"
    once, copied = f"{folder}once", f"{folder}copied"
    races = [f"{folder}race{number}" for number in range(RACES)]
    keys = [once, copied, *races]
    try:
        _check_objects(store, once)
        _check_races(store, races)
        _check_compare_and_set(store, once)
        store.copy(once, copied)
        if sorted(store.list(folder)) != sorted(keys):
            raise RefusedError(f"{store.uri}: the list of objects differs from what was just written")
    except HpoError:
        with suppress(HpoError):  # what is wrong has been found; this is only tidying up
            store.delete(keys)
        raise
    store.delete(keys)
    if list(store.list(folder)):
        raise RefusedError(f"{store.uri}: deleted objects are still there")


def _check_objects(store: "Store", key: str) -> None:
    if not store.create(key, b"first"):
        raise RefusedError(f"{store.uri}: refuses to create an object that does not exist")
    if store.create(key, b"second"):
        raise RefusedError(
            f"{store.uri} ignores If-None-Match (conditional PUT): two outcomes of one trial could overwrite each "
            "other. Use Amazon S3, a server that keeps it, or a folder"
        )
    if store.read(key) != b"first":
        raise RefusedError(f"{store.uri}: what is read differs from what was written")


def _check_races(store: "Store", keys: list[str]) -> None:
    """Some servers check the condition and write in two steps; only concurrent writers show it."""
    with ThreadPoolExecutor(RACERS) as pool:
        for key in keys:
            created = list(pool.map(lambda racer, key=key: store.create(key, b"%d" % racer), range(RACERS)))
            if created.count(True) != 1 or store.read(key) != b"%d" % created.index(True):
                raise RefusedError(
                    f"{store.uri} lets {created.count(True)} of {RACERS} concurrent writers create one object: two "
                    "outcomes of one trial could overwrite each other. Use Amazon S3 or a folder"
                )


def _check_compare_and_set(store: "Store", key: str) -> None:
    before = store.read_versioned(key)
    if before is None or not store.replace(key, b"third", version=before[1]):
        raise RefusedError(f"{store.uri} refuses If-Match with the current ETag: no compare-and-set")
    if store.replace(key, b"fourth", version=before[1]) or store.read(key) != b"third":
        raise RefusedError(f"{store.uri} ignores If-Match: a late backfill could overwrite tonight's best")
