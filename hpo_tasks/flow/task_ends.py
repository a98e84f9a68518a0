"""A remedy for Airflow 3.3 and 3.4: the process that watches a task may notice the task's end only five seconds later.

Airflow waits for events on the task's sockets, for at most `[workers] min_heartbeat_interval`, and then looks whether the
process has ended. A process closes its sockets a moment before it has ended. If the watcher is faster than that, it
waits once more, now on no sockets at all, so for the whole interval; on an idle machine every second task does. Until
then its worker takes no other task.
"""

from contextlib import suppress
from typing import Any


def notice_task_ends_at_once() -> None:
    """From now on this process, and what it forks, waits for a task process itself once its sockets are closed."""
    from airflow.sdk.execution_time import supervisor

    watcher: Any = supervisor.WatchedSubprocess
    if getattr(watcher._service_subprocess, "waits_for_the_process", False):  # noqa: SLF001 - there is no public way
        return
    service = watcher._service_subprocess  # noqa: SLF001

    def service_subprocess(self: Any, max_wait_time: float, *args: Any, **kwargs: Any) -> int | None:
        if self._exit_code is None and not self._open_sockets:
            with suppress(self._process.TimeoutExpired):
                self._process.wait(max_wait_time)  # remembers the exit code, which is read next
            max_wait_time = 0.0
        code: int | None = service(self, max_wait_time, *args, **kwargs)
        return code

    service_subprocess.waits_for_the_process = True  # type: ignore[attr-defined]
    watcher._service_subprocess = service_subprocess  # noqa: SLF001
