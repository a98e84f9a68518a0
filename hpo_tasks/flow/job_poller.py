"""Asks a cloud how the jobs of all triggers of this process are, in as few calls as it allows."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hpo_tasks.errors import HpoError

LONGEST_PAUSE_S = 120.0

log = logging.getLogger(__name__)

Describe = Callable[[Sequence[str]], Mapping[str, Mapping[str, Any]]]


@dataclass
class JobPoller:
    """One loop for all jobs that are awaited on one connection. It runs while there are any.

    Attributes:
        describe: ids → descriptions of those that the backend knows; blocks, so that it is called in a thread.
        pause_s: between two rounds of questions; doubled while the backend does not answer.
    """

    describe: Describe
    pause_s: float
    _awaited: dict[str, set["asyncio.Future[Mapping[str, Any] | None]"]] = field(default_factory=dict)
    _loop: "asyncio.Task[None] | None" = None

    async def next_description(self, job_id: str) -> Mapping[str, Any] | None:
        """What the next round of questions says of a job; None: the backend does not know it."""
        future: asyncio.Future[Mapping[str, Any] | None] = asyncio.get_running_loop().create_future()
        self._awaited.setdefault(job_id, set()).add(future)
        if self._loop is None or self._loop.done():
            self._loop = asyncio.create_task(self._run())
        try:
            return await future
        finally:
            self._forget(job_id, future)

    async def _run(self) -> None:
        pause_s = self.pause_s
        while self._awaited:
            await asyncio.sleep(pause_s)
            asked = list(self._awaited)
            try:
                found = await asyncio.to_thread(self.describe, asked)
            except HpoError as error:  # whatever it is: the jobs run on, and somebody may mend it
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                log.warning("%s; asking again in %.0f s", error, pause_s)
                continue
            pause_s = self.pause_s
            for job_id in asked:
                for future in list(self._awaited.get(job_id, ())):
                    if not future.done():
                        future.set_result(found.get(job_id))
            await asyncio.sleep(0)  # those that ask again do so before the next round begins

    def _forget(self, job_id: str, future: "asyncio.Future[Mapping[str, Any] | None]") -> None:
        waiting = self._awaited.get(job_id)
        if waiting is not None:
            waiting.discard(future)
            if not waiting:
                del self._awaited[job_id]
