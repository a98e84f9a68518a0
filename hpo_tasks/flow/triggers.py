"""The trigger of a train task: it awaits the end of a job, and ends the job when nobody waits for it any more.

It observes. What a job's end means is decided by the task that it wakes, from what lies in the object store.
"""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from hpo_tasks.errors import HpoError, RefusedError
from hpo_tasks.flow.job_poller import JobPoller

POLL_S = "HPO_POLL_S"
"""Variable of the triggerer: seconds between two rounds of questions."""
DEFAULT_POLL_S = 15.0
ENDED = "it has ended"
WALL_CLOCK = "the study's wall clock is used up"

log = logging.getLogger(__name__)


class JobTrigger(BaseTrigger):
    """Fires when the job has ended, or when the study's wall clock is used up. Arguments: as `steps.remote.Awaited`."""

    def __init__(
        self, *, backend: dict[str, Any], job: str, handle: str, ends_at_s: float, deadline: list[Any] | None
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.backend = backend
        self.job = job
        self.handle = handle
        self.ends_at_s = ends_at_s
        self.deadline = deadline

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Airflow's port: how to make this trigger again."""
        return (
            "hpo_tasks.flow.triggers.JobTrigger",
            {
                "backend": self.backend, "job": self.job, "handle": self.handle, "ends_at_s": self.ends_at_s,
                "deadline": self.deadline,
            },
        )  # fmt: skip

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Airflow's port: wait."""
        from hpo_tasks.backends.batch_status import missing, status_of, waited_s
        from hpo_tasks.flow.steps.clock import Moment

        deadline = Moment(*self.deadline) if self.deadline else None
        options, poller = self._options(), self._place().poller
        while True:
            try:
                described = await asyncio.wait_for(
                    poller.next_description(self.handle), _until(deadline, Moment.now())
                )
            except TimeoutError:
                yield _event(self.job, WALL_CLOCK)
                return
            now_s = time.time()
            status = status_of(described) if described else missing(self.ends_at_s, now_s)
            if status.state == "ended":
                yield _event(self.job, ENDED)
                return
            if described and waited_s(described, now_s) > options.queue_timeout_s:
                await self._terminate(
                    f"no capacity within {options.queue_timeout_s:g} s (backend.queue_timeout)"
                )

    async def on_kill(self) -> None:
        """Airflow's port: the task was cleared, marked or deleted. Its job is ended, by its id."""
        if await asyncio.to_thread(self._is_taken_away):
            await self._terminate("its task was taken away")

    async def _terminate(self, why: str) -> None:
        from hpo_tasks.backends.batch import terminate

        place = self._place()
        try:
            await asyncio.to_thread(lambda: terminate(place.client(), self.handle, why))
        except HpoError as error:
            log.warning("%s: the reaper will end it", error)

    def _is_taken_away(self) -> bool:
        """Whether nobody waits for the job any more.

        Airflow 3.3 calls `on_kill` also when another triggerer takes the trigger over. A task that was cleared and runs
        again ends the job itself. If Airflow does not answer, the job runs on: a retry or the reaper finds it.
        """
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        from hpo_tasks.flow.operators import is_over, states_of

        return is_over(states_of(self.task_instance, RuntimeTaskInstance.get_task_states))

    def _options(self) -> Any:
        from hpo_tasks.spec.model import BatchBackend

        return BatchBackend.model_validate(self.backend, by_alias=True, by_name=False)

    def _place(self) -> "_Place":
        """What all triggers of this process share that await jobs on the same connection."""
        options = self._options()
        key = (asyncio.get_running_loop(), options.connection, options.region)
        if key not in _places:
            _places[key] = _Place(options.connection, options.region)
        return _places[key]


class _Place:
    """One connection: its client, and the poller that asks for the jobs of all triggers together."""

    def __init__(self, connection: str | None, region: str | None) -> None:
        self._connection = connection
        self._region = region
        self._client: Any = None
        self.poller = JobPoller(self._describe, float(os.environ.get(POLL_S, DEFAULT_POLL_S)))

    def client(self) -> Any:
        """Blocks: for a thread."""
        from hpo_tasks.flow.aws import backend_client

        if self._client is None:
            self._client = backend_client("batch", self._connection, self._region)
        return self._client

    def _describe(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        from hpo_tasks.backends.batch import describe

        try:
            return describe(self.client(), ids)
        except RefusedError:
            self._client = None  # its credentials may have been renewed in the connection
            raise


_places: dict[tuple[asyncio.AbstractEventLoop, str | None, str | None], _Place] = {}


def _until(deadline: Any, now: Any) -> float | None:
    """Seconds from now to a deadline; None: there is none."""
    if deadline is None:
        return None
    same_clock = deadline.boot and deadline.boot == now.boot
    left_s = deadline.up_s - now.up_s if same_clock else deadline.unix_s - now.unix_s
    return max(0.0, float(left_s))


def _event(job: str, because: str) -> TriggerEvent:
    return TriggerEvent({"job": job, "because": because})  # type: ignore[no-untyped-call]
