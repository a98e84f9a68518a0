"""The tasks of a study: prepare, rounds of ask, train and tell, conclude.

`round_body` builds one round. `_looped` repeats it in a task loop, where Airflow offers one (3.4); `_unrolled` makes a
task group for each round, which every Airflow can do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, TaskGroup, TriggerRule

from hpo_tasks.flow.assets import best_alias
from hpo_tasks.flow.operators import (
    AskOperator,
    ConcludeOperator,
    PrepareOperator,
    TellOperator,
    TrainOperator,
)
from hpo_tasks.flow.repetition import has_loops
from hpo_tasks.flow.settings import local_pool, tasks_ahead
from hpo_tasks.spec import StudySpec

LOOP_ID = "round"
DEFAULT_POOL = "default_pool"
"""Airflow's own, which always exists."""
TASKS = ("ask", "train", "tell")


@dataclass(frozen=True, slots=True)
class Round:
    """The two ends of a round: what comes before it is wired to `ask`, what comes after it to `tell`."""

    ask: AskOperator
    tell: TellOperator


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How many train tasks run side by side.

    Attributes:
        tasks: of one run: one for each slot, and those that wait for one.
        pool: of all studies that name it.
    """

    tasks: int
    pool: str


def build_study(
    dag: DAG, *, rounds: int, slots: int, spec: StudySpec | None, study_file: Path | None
) -> None:
    """Add a study's tasks to the DAG.

    Args:
        dag: the DAG whose context is open.
        rounds: how many rounds there are at most.
        slots: trials of one run that train side by side.
        spec: the study file's spec; None: `prepare` takes it from the form (`hpo_adhoc`).
        study_file: where the spec was read; relative paths in it start there.
    """
    prepare = PrepareOperator(task_id="prepare", spec=spec, study_file=study_file, rounds=rounds)
    repeat = _looped if has_loops() else _unrolled
    concurrency = _concurrency(slots, spec)
    last = repeat(prepare, rounds=rounds, concurrency=concurrency)
    alias = best_alias(dag.dag_id)
    conclude = ConcludeOperator(task_id="conclude", trigger_rule=TriggerRule.ALL_DONE, outlets=[alias])
    last >> conclude


def _concurrency(slots: int, spec: StudySpec | None) -> Concurrency:
    """A task whose job runs on a cloud is deferred meanwhile: that counts as one of the slots, but in no pool."""
    if spec is not None and spec.backend.type != "local":
        return Concurrency(slots, spec.pool or DEFAULT_POOL)
    return Concurrency(slots + tasks_ahead(), (spec.pool if spec else None) or local_pool())


def round_body(
    group: str, *, round_: int | None, concurrency: Concurrency, later: Sequence[str] = ()
) -> Round:
    """One round: ask, one mapped train task per slot, tell.

    Args:
        group: id of the task group whose context is open.
        round_: the round's number; None: ask takes the one that the ledger has open.
        concurrency: limits of its train tasks.
        later: ids of the tasks after this round that the study's end makes superfluous.
    """
    ask = AskOperator(task_id="ask", round_=round_, skips=[*task_ids(group)[1:], *later])
    train = TrainOperator.partial(
        task_id="train",
        max_active_tis_per_dagrun=concurrency.tasks,
        pool=concurrency.pool,
        map_index_template="{{ task.slot_label() }}",
    ).expand(work_=ask.output)
    tell = TellOperator(
        task_id="tell",
        ask_id=ask.task_id,
        skips=list(later),
        trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS,
    )
    ask >> train >> tell
    ask >> tell
    return Round(ask, tell)


def gate(*, loop: Any) -> Any:
    """Ends the loop when tell has found the study at its end. Airflow shows the reason beside the iteration.

    A tell that was marked as a success by hand has no result: the next ask finds out.
    """
    from airflow.sdk import LoopDecision  # type: ignore[attr-defined,unused-ignore]  # from 3.4 on

    end = (loop.result or {}).get("end")
    return LoopDecision(stop=end is not None, reason=end)


def group_id(round_: int) -> str:
    return f"round_{round_:02d}"


def task_ids(group: str) -> list[str]:
    return [f"{group}.{name}" for name in TASKS]


def _looped(prepare: PrepareOperator, *, rounds: int, concurrency: Concurrency) -> TellOperator:
    """One task group that repeats. Returns the task that `conclude` follows; Airflow puts the loop's gate in its place.

    Which iteration it is plays no part: its number begins at 0 or at 1, depending on Airflow's version, and after a
    clear the study may be further on than the loop.
    """
    # A tenth of what importing the DAG file costs, for those who have loops.
    from airflow.sdk import task_group

    made: list[Round] = []

    def body() -> None:
        made.append(round_body(LOOP_ID, round_=None, concurrency=concurrency))
        prepare >> made[-1].ask

    group: Any = task_group(group_id=LOOP_ID)(body)
    group.loop(max_iterations=rounds, until=gate)
    return made[-1].tell


def _unrolled(prepare: PrepareOperator, *, rounds: int, concurrency: Concurrency) -> TellOperator:
    """A task group for each round. Returns the last one's tell."""
    before: PrepareOperator | TellOperator = prepare
    for round_ in range(rounds):
        group = group_id(round_)
        with TaskGroup(group_id=group):
            made = round_body(group, round_=round_, concurrency=concurrency, later=_after(round_, rounds))
        before >> made.ask
        if before is not prepare:
            # Every ask reads what prepare returned, and a failed prepare ends the run at once, not round by round.
            prepare >> made.ask
        before = made.tell
    return made.tell


def _after(round_: int, rounds: int) -> list[str]:
    """Ids of all tasks in the rounds after this one."""
    return [task for number in range(round_ + 1, rounds) for task in task_ids(group_id(number))]
