"""Airflow's LocalExecutor, with a scheduler that waits for the tasks instead of looking at the clock.

A pass of the scheduler costs some 20 ms of processor time. Ten of them a second, which is what short trials need, take
an eighth of a machine with two cores from the trials. So the pause between two passes is spent here: it ends as soon as
a task has ended, and grows while none does.
"""

import time
from typing import Any

from airflow.executors import local_executor
from airflow.utils.state import State

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 0.5
"""Half of what Airflow sleeps: what the executor is not told of waits so long, such as a run that was triggered."""


class LocalExecutor(local_executor.LocalExecutor):
    """For `[scheduler] scheduler_idle_sleep_time = 0`: the scheduler calls `sync` once in each pass."""

    _pause_s = FIRST_PAUSE_S

    def sync(self) -> None:
        """Wait until a task has ended, but not for long; then do what is to be done."""
        if self._wait_for_an_end():
            self._pause_s = FIRST_PAUSE_S
        else:
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        super().sync()

    def _wait_for_an_end(self) -> bool:
        """Whether a task has ended. That one has begun is no reason for a pass: nothing follows from it."""
        deadline = time.monotonic() + self._pause_s
        while self.result_queue._poll(max(0.0, deadline - time.monotonic())):  # type: ignore[attr-defined] # noqa: SLF001 - `empty`, with a timeout
            self._read_results()  # type: ignore[no-untyped-call]
            if any(state in State.finished for state, _ in self.event_buffer.values()):
                return True
        return False

    def _process_workloads(self, workload_list: Any) -> None:
        self._pause_s = FIRST_PAUSE_S
        super()._process_workloads(workload_list)  # type: ignore[no-untyped-call]
