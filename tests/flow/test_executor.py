"""The embedded scheduler's pause: it ends with a task, and grows while nothing happens. On the executor's real queue."""

import multiprocessing
import threading

import pytest
from airflow.utils.state import TaskInstanceState

from hpo_tasks.flow.embedded import executor as embedded
from hpo_tasks.flow.embedded.executor import LocalExecutor

FOR_EVER_S = 3600.0
TASK = "task"
WORKER = 1


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> LocalExecutor:
    """One as the scheduler has it between two passes, with one worker and its one task."""
    found = LocalExecutor(parallelism=1)
    monkeypatch.setattr(found, "_check_workers", lambda: None)
    found.result_queue = multiprocessing.SimpleQueue()
    found.workers = {WORKER: None}
    found.running.add(TASK)
    return found


def say(executor: LocalExecutor, state: TaskInstanceState) -> None:
    """What a worker says of its task, in this Airflow's words."""
    knows_workers = hasattr(executor, "_worker_tasks")  # from 3.4 on
    executor.result_queue.put((WORKER, TASK, state, None) if knows_workers else (TASK, state, None))


@pytest.mark.parametrize("end", [TaskInstanceState.SUCCESS, TaskInstanceState.FAILED])
def test_an_end_is_not_waited_for_any_longer(executor: LocalExecutor, end: TaskInstanceState) -> None:
    """With a pause that would never end; the task has begun before."""
    executor._pause_s = FOR_EVER_S
    say(executor, TaskInstanceState.RUNNING)
    ending = threading.Timer(0.05, say, [executor, end])
    ending.start()

    executor.sync()

    ending.join()
    assert executor.event_buffer == {TASK: (end, None)}
    assert executor._pause_s == embedded.FIRST_PAUSE_S


def test_that_a_task_begins_ends_no_pause(executor: LocalExecutor) -> None:
    executor._pause_s = 0.01
    say(executor, TaskInstanceState.RUNNING)

    executor.sync()

    assert executor.event_buffer == {TASK: (TaskInstanceState.RUNNING, None)}
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
