"""Looks in the object store, again and again, whether the trial is asked to stop. In a thread: a store may be slow."""

import json
import threading
from collections.abc import Sequence

from hpo_tasks.errors import HpoError, IntegrityError
from hpo_tasks.trial.objects import Objects
from hpo_tasks.trial.printable import one_line

FOLDER_POLL_S = 1.0
S3_POLL_S = 10.0
_MAX_STOP_BYTES = 64 << 10


class StopWatch:
    """Watches objects that ask for a stop by existing.

    Attributes:
        reason: why the trial is asked to stop; None as long as it is not.
    """

    def __init__(self, objects: Objects, keys: Sequence[str]) -> None:
        self.reason: str | None = None
        self._objects = objects
        self._keys = keys
        self._poll_s = S3_POLL_S if objects.uri.startswith("s3:") else FOLDER_POLL_S
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stop-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Stop looking. Does not wait: the thread may hang in a request, and it dies with the process."""
        self._ended.set()

    def _watch(self) -> None:
        while self.reason is None and not self._ended.is_set():
            self.reason = self._look()
            self._ended.wait(self._poll_s)

    def _look(self) -> str | None:
        for key in self._keys:
            try:
                data = self._objects.read(key, limit=_MAX_STOP_BYTES)
            except IntegrityError:
                data = b""  # whatever it is, it exists
            except HpoError:
                continue  # the store is away or refuses: the trial goes on, and its time limit still holds
            if data is not None:
                return _reason(data)
        return None


def _reason(data: bytes) -> str:
    try:
        reason = json.loads(data)["reason"]
    except (ValueError, TypeError, KeyError, RecursionError):
        reason = ""
    return one_line(reason, 200) if isinstance(reason, str) and reason.strip() else "asked to stop"
