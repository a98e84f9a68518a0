"""Asks a cloud how the jobs of all triggers of this process are, in as few calls as it allows."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

LONGEST_PAUSE_S = 120.0

log = logging.getLogger(__name__)

Describe = Callable[[Sequence[str]], Mapping[str, Mapping[str, Any]]]


@dataclass
class JobPoller:
    """One loop for all jobs that are awaited on one connection. It runs while there are any.

    Attributes:
        describe: ids → descriptions of those that the backend knows; blocks, so that it is called in a thread.
        at_once: ids in one question.
        pause_s: between two rounds of questions; doubled while the backend does not answer.
    """

    describe: Describe
    pause_s: float
    at_once: int = 100
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
            answered = True
            asked = list(self._awaited)
            for first in range(0, len(asked), self.at_once):
                answered &= await self._ask(asked[first : first + self.at_once])
            pause_s = self.pause_s if answered else min(2 * pause_s, LONGEST_PAUSE_S)
            await asyncio.sleep(0)  # those that ask again do so before the next round begins

    async def _ask(self, ids: Sequence[str]) -> bool:
        """One question, and its answer to those that await it. Returns whether there was one."""
        try:
            found = await asyncio.to_thread(self.describe, ids)
        except Exception as error:  # noqa: BLE001 - the jobs run on, somebody may mend it, and nobody else would ask
            log.warning("%d jobs: %s: %s; asking again later", len(ids), type(error).__name__, error)
            return False
        for job_id in ids:
            for future in list(self._awaited.get(job_id, ())):
                if not future.done():
                    future.set_result(found.get(job_id))
        return True

    def _forget(self, job_id: str, future: "asyncio.Future[Mapping[str, Any] | None]") -> None:
        waiting = self._awaited.get(job_id)
        if waiting is not None:
            waiting.discard(future)
            if not waiting:
                del self._awaited[job_id]
