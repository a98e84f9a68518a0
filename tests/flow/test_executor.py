"""The embedded scheduler's pause: it ends with a task, and grows while nothing happens. On the executor's real queue."""

import multiprocessing
import threading

import pytest
from airflow.utils.state import TaskInstanceState

from hpo_tasks.flow.embedded import executor as embedded
from hpo_tasks.flow.embedded.executor import LocalExecutor

FOR_EVER_S = 3600.0
BEGUN = ("task", TaskInstanceState.RUNNING, None)
DONE = ("task", TaskInstanceState.SUCCESS, None)
FAILED = ("task", TaskInstanceState.FAILED, None)


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> LocalExecutor:
    """One without workers, as the scheduler has it between two passes."""
    found = LocalExecutor(parallelism=1)
    monkeypatch.setattr(found, "_check_workers", lambda: None)
    found.result_queue = multiprocessing.SimpleQueue()
    return found


@pytest.mark.parametrize("end", [DONE, FAILED])
def test_an_end_is_not_waited_for_any_longer(executor: LocalExecutor, end: tuple) -> None:
    """With a pause that would never end; the task has begun before."""
    executor._pause_s = FOR_EVER_S
    executor.result_queue.put(BEGUN)
    ending = threading.Timer(0.05, executor.result_queue.put, [end])
    ending.start()

    executor.sync()

    ending.join()
    assert executor.get_event_buffer() == {"task": (end[1], None)}
    assert executor._pause_s == embedded.FIRST_PAUSE_S


def test_that_a_task_begins_ends_no_pause(executor: LocalExecutor) -> None:
    executor._pause_s = 0.01
    executor.result_queue.put(BEGUN)

    executor.sync()

    assert executor.get_event_buffer() == {"task": (TaskInstanceState.RUNNING, None)}
    assert executor._pause_s == 0.02


def test_pauses_grow_up_to_a_limit_until_there_is_work(
    executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "LONGEST_PAUSE_S", 0.003)
    executor._pause_s = 0.001
    pauses = []
    for _ in range(3):
        executor.sync()
        pauses.append(executor._pause_s)
    assert pauses == [0.002, 0.003, 0.003]

    executor._unread_messages = multiprocessing.Value("I")
    executor._process_workloads([])
    assert executor._pause_s == embedded.FIRST_PAUSE_S
