"""The processes of the scheduler's LocalExecutor, each of which starts tasks and watches them.

Airflow does not get over the death of one: nobody learns what became of its task, and if it was waiting for one, it has
taken the lock with it under which the others wait, so that no task starts any more. A new scheduler gets over both.
"""

from contextlib import suppress

import psutil

TITLE = "LocalExecutor"


class ExecutorWorkers:
    """The workers of one scheduler, as far as they were seen."""

    def __init__(self, scheduler: int) -> None:
        """Nothing is looked at yet. `scheduler`: its process id."""
        self._scheduler = scheduler
        self._seen: set[psutil.Process] = set()

    def lost_one(self) -> bool:
        """Whether a worker that was seen before is dead. To be asked again and again; False if the scheduler is dead."""
        if any(not _lives(worker) for worker in self._seen):
            return True
        with suppress(psutil.Error):
            children = psutil.Process(self._scheduler).children()
            self._seen.update(child for child in children if TITLE in _title(child))
        return False


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _title(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""
