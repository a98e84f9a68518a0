"""The trigger of a train task: it awaits the end of a job, and ends the job when nobody waits for it any more.

It observes. What a job's end means is decided by the task that it wakes, from what lies in the object store.
"""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from hpo_tasks.errors import HpoError
from hpo_tasks.flow.job_poller import JobPoller

POLL_S = "HPO_POLL_S"
"""Variable of the triggerer: seconds between two rounds of questions."""
DEFAULT_POLL_S = 15.0

log = logging.getLogger(__name__)

_pollers: dict[tuple[asyncio.AbstractEventLoop, str, str, str], JobPoller] = {}


class JobTrigger(BaseTrigger):
    """Fires when the job has ended, or when the study's wall clock is used up. Arguments: as `steps.remote.Awaited`."""

    def __init__(
        self, *, backend: dict[str, Any], job: str, handle: str, kept_at_s: float, deadline: list[Any] | None
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.backend = backend
        self.job = job
        self.handle = handle
        self.kept_at_s = kept_at_s
        self.deadline = deadline

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Airflow's port: how to make this trigger again."""
        return (
            "hpo_tasks.flow.triggers.JobTrigger",
            {
                "backend": self.backend, "job": self.job, "handle": self.handle, "kept_at_s": self.kept_at_s,
                "deadline": self.deadline,
            },
        )  # fmt: skip

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Airflow's port: wait."""
        from hpo_tasks.backends.batch_status import missing, status_of, waited_s
        from hpo_tasks.flow.steps.clock import Moment

        deadline = Moment(*self.deadline) if self.deadline else None
        options = self._options()
        poller = self._poller()
        while True:
            described = await poller.next_description(self.handle)
            status = status_of(described) if described else missing(self.kept_at_s, time.time())
            if status.state == "ended":
                yield _event(self.job, "it has ended")
                return
            if described and waited_s(described, time.time()) > options.queue_timeout_s:
                await self._terminate(
                    f"no capacity within {options.queue_timeout_s:g} s (backend.queue_timeout)"
                )
            if deadline is not None and deadline.has_come(Moment.now()):
                yield _event(self.job, "the study's wall clock is used up")
                return

    async def on_kill(self) -> None:
        """Airflow's port: the task was cleared, marked or deleted. Its job is ended, by its id."""
        if await asyncio.to_thread(self._is_taken_away):
            await self._terminate("its task was taken away")

    async def _terminate(self, why: str) -> None:
        from hpo_tasks.backends.batch import terminate

        try:
            await asyncio.to_thread(lambda: terminate(self._client(), self.handle, why))
        except HpoError as error:
            log.warning("%s: the reaper will end it", error)

    def _is_taken_away(self) -> bool:
        """Whether the task instance waits for this trigger no more.

        Airflow 3.3 calls `on_kill` also when another triggerer takes the trigger over. If Airflow does not answer, the job
        runs on: a retry or the reaper finds it.
        """
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        from hpo_tasks.flow.operators import states_of

        found = states_of(self.task_instance, RuntimeTaskInstance.get_task_states)
        return found is not None and "deferred" not in found

    def _options(self) -> Any:
        from hpo_tasks.spec.model import BatchBackend

        return BatchBackend.model_validate(self.backend, by_alias=True, by_name=False)

    def _client(self) -> Any:
        from hpo_tasks.flow.aws import backend_client

        options = self._options()
        return backend_client("batch", options.connection, options.region)

    def _poller(self) -> JobPoller:
        """The one for this connection: it asks for the jobs of all triggers of this process together."""
        from hpo_tasks.backends.batch import describe

        key = (
            asyncio.get_running_loop(), "batch",
            str(self.backend.get("connection")), str(self.backend.get("region")),
        )  # fmt: skip
        if key not in _pollers:
            made: list[Any] = []

            def ask(ids: Any) -> Any:
                if not made:
                    made.append(self._client())
                return describe(made[0], ids)

            _pollers[key] = JobPoller(ask, float(os.environ.get(POLL_S, DEFAULT_POLL_S)))
        return _pollers[key]


def _event(job: str, because: str) -> TriggerEvent:
    return TriggerEvent({"job": job, "because": because})  # type: ignore[no-untyped-call]
