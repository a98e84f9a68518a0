"""The tasks of a study: prepare, rounds of ask, train and tell, conclude.

`round_body` builds one round; `build_study` repeats it unrolled, which is what Airflow 3.3 can do.
"""

from pathlib import Path

from airflow.sdk import DAG, TaskGroup, TriggerRule

from hpo_tasks.flow.assets import best_alias
from hpo_tasks.flow.operators import (
    AskOperator,
    ConcludeOperator,
    PrepareOperator,
    TellOperator,
    TrainOperator,
)
from hpo_tasks.flow.settings import local_pool, tasks_ahead
from hpo_tasks.spec import StudySpec


def build_study(
    dag: DAG, *, rounds: int, slots: int, spec: StudySpec | None, study_file: Path | None
) -> None:
    """Add a study's tasks to the DAG.

    Args:
        dag: the DAG whose context is open.
        rounds: how many rounds to unroll.
        slots: trials of one run that train side by side.
        spec: the study file's spec; None: `prepare` takes it from the form (`hpo_adhoc`).
        study_file: where the spec was read; relative paths in it start there.
    """
    prepare = PrepareOperator(task_id="prepare", spec=spec, study_file=study_file, rounds=rounds)
    before: PrepareOperator | TellOperator = prepare
    for round_ in range(rounds):
        before = round_body(round_, rounds=rounds, slots=slots, prepare=prepare, after=before)
    alias = best_alias(dag.dag_id)
    conclude = ConcludeOperator(task_id="conclude", trigger_rule=TriggerRule.ALL_DONE, outlets=[alias])
    before >> conclude


def round_body(
    round_: int, *, rounds: int, slots: int, prepare: PrepareOperator, after: PrepareOperator | TellOperator
) -> TellOperator:
    """One round: ask, one mapped train task per slot, tell. Returns the task that the next round follows."""
    with TaskGroup(group_id=group_id(round_)):
        ask = AskOperator(task_id="ask", round_=round_, skips=after_ask(round_, rounds))
        train = TrainOperator.partial(
            task_id="train",
            round_=round_,
            max_active_tis_per_dagrun=slots + tasks_ahead(),
            pool=local_pool(),
            map_index_template="{{ task.slot_label() }}",
        ).expand(work_=ask.output)
        tell = TellOperator(task_id="tell", round_=round_, trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS)
        after >> ask >> train >> tell
        ask >> tell
        if after is not prepare:
            # Every ask reads what prepare returned, and a failed prepare ends the run at once, not round by round.
            prepare >> ask
    return tell


def after_ask(round_: int, rounds: int) -> list[str]:
    """Ids of all tasks that a study's end in this round's ask makes superfluous."""
    later = [task for number in range(round_ + 1, rounds) for task in task_ids(number)]
    return task_ids(round_)[1:] + later


def group_id(round_: int) -> str:
    return f"round_{round_:02d}"


def task_ids(round_: int) -> list[str]:
    return [f"{group_id(round_)}.{name}" for name in ("ask", "train", "tell")]
