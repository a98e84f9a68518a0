"""The DAG factory: study files → DAGs. Imported by every task process, so nothing heavy is imported here."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import DAG, Param, get_parsing_context
from airflow.sdk.definitions.timetables.interval import CronDataIntervalTimetable

from hpo_tasks.errors import InputError, Problem, SpecError
from hpo_tasks.flow.folders import FILE_NAME_RULE, dag_id_of, may_be_dag, study_files
from hpo_tasks.flow.operators import ReapOperator
from hpo_tasks.flow.repetition import most_rounds, with_rounds
from hpo_tasks.flow.rounds import build_study
from hpo_tasks.flow.steps.run import ADHOC_DAG_ID
from hpo_tasks.spec import FormField, StudySpec, form_fields, load, planned_max_rounds
from hpo_tasks.spec.describe import describe

TASKS = {
    # Airflow's own weights put early rounds before late ones: in a pool, each study that begins would hold up all that
    # are about to end, and `hpo_adhoc`, which has the most rounds, everybody.
    "weight_rule": "absolute",
    "retries": 7,
    "retry_delay": timedelta(seconds=10),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=5),
}
REAPER_DAG_ID = "hpo_reaper"
REAPER_SCHEDULE = "HPO_REAPER_SCHEDULE"
"""Variable of the DAG processor: cron expression, or `none`: by hand only."""
DEFAULT_REAPER_SCHEDULE = "*/10 * * * *"
_START = datetime(2020, 1, 1, tzinfo=UTC)
_NEVER = datetime(2100, 1, 1, tzinfo=UTC)


def study_dags(folders: list[Path]) -> dict[str, DAG]:
    """One DAG per good study file; when a task process asks for one DAG, only that one is built."""
    wanted = get_parsing_context().dag_id
    return {
        dag_id: study_dag(path, spec)
        for dag_id, path, spec, _ in _read(folders, only=wanted)
        if path is not None and spec is not None
    }


def raise_broken(folders: list[Path]) -> None:
    """Raise the problems of all broken study files as one message, for Airflow's list of import errors.

    Raises:
        SpecError: one line per problem, with the file's name.
    """
    broken = [error for *_, error in _read(folders, only=None) if error is not None]
    if broken:
        raise InputError("\n".join(str(error) for error in broken))


def study_dag(path: Path, spec: StudySpec) -> DAG:
    """The DAG of one study file, whose spec has its rounds made explicit (`with_rounds`)."""
    rounds = planned_max_rounds(spec)
    dag = DAG(
        dag_id=dag_id_of(path),
        dag_display_name=spec.name,
        description=spec.description or f"Hyperparameter study {spec.name}",
        doc_md=describe(spec),
        start_date=_start_date(spec),
        schedule=CronDataIntervalTimetable(spec.schedule, timezone=spec.timezone) if spec.schedule else None,
        catchup=spec.catchup,
        # What starts only when somebody asks is ready at once; what has a schedule obeys the deployment's setting.
        is_paused_upon_creation=None if spec.schedule and not spec.paused else False,
        max_active_runs=spec.max_active_runs,
        max_active_tasks=max(16, spec.batch_size),
        tags=["hpo", *(f"{key}:{value}"[:100] for key, value in spec.tags.items())],
        default_args={"owner": spec.owner or "hpo", **TASKS},
        render_template_as_native_obj=False,
    )
    with dag:
        build_study(dag, rounds=rounds, slots=spec.backend.slots, spec=spec, study_file=path)
    # Set last: operators copy the params that a DAG has when they are made, and a task sees the DAG's anyway. With
    # 50 tasks to a DAG the copies are a third of the parse time.
    dag.params = form_params(form_fields(spec, max_rounds=rounds))
    return dag


def adhoc_dag() -> DAG:
    """The DAG that takes a whole study in its trigger form."""
    dag = DAG(
        dag_id=ADHOC_DAG_ID,
        description="Runs the study that its trigger form holds",
        doc_md=ADHOC_DOC.format(rounds=most_rounds()),
        start_date=_START,
        schedule=None,
        max_active_runs=16,
        is_paused_upon_creation=False,
        tags=["hpo"],
        default_args={"owner": "hpo", **TASKS},
    )
    with dag:
        build_study(dag, rounds=most_rounds(), slots=ADHOC_SLOTS, spec=None, study_file=None)
    dag.params = adhoc_params()
    return dag


def reaper_dag() -> DAG:
    """The DAG that ends jobs on clouds which are alive without reason: every ten minutes, or as `HPO_REAPER_SCHEDULE` says."""
    schedule = os.environ.get(REAPER_SCHEDULE, DEFAULT_REAPER_SCHEDULE)
    dag = DAG(
        dag_id=REAPER_DAG_ID,
        description="Ends jobs on clouds that nobody needs",
        doc_md=REAPER_DOC,
        start_date=_START,
        schedule=None if schedule == "none" else schedule,
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        tags=["hpo"],
        default_args={"owner": "hpo", **TASKS, "retries": 1},
        params={
            "dry_run": Param(
                default=False,
                type="boolean",
                title="Dry run",
                description="Only report what would be ended.",
            )
        },
    )
    with dag:
        ReapOperator(task_id="reap")
    return dag


def adhoc_params() -> Any:
    """The form of `hpo_adhoc`: a whole study, and what belongs to the run."""
    return {
        "study": Param(
            type="object",
            title="Study",
            description="The study as JSON, with the keys of a study file.",
            default=dict(ADHOC_EXAMPLE),
        ),
        "epoch": Param(
            0,
            type="integer",
            minimum=0,
            title="Epoch",
            description="The same number resumes; a new one starts afresh.",
        ),
        "note": Param("", type="string", maxLength=1000, title="Note", description="Kept with the study."),
    }


def form_params(fields: list[FormField]) -> Any:
    """The trigger form: one typed, bounded Airflow param for each field."""
    return {field.key: _param(field) for field in fields}


def _param(field: FormField) -> Param:
    schema: dict[str, Any] = {
        "type": field.type,
        "title": field.title,
        "description": field.help,
        "section": "Study",
    }
    if field.choices:
        schema["enum"] = list(field.choices)
    if field.type == "string":
        schema |= {"maxLength": field.maximum} if field.maximum is not None else {}
    else:
        schema |= {} if field.minimum is None else {"minimum": field.minimum}
        schema |= {} if field.maximum is None else {"maximum": field.maximum}
    return Param(field.default, **schema)


def _start_date(spec: StudySpec) -> datetime:
    """A paused schedule starts in 2100: it can be backfilled and triggered, and never starts by itself.

    Pausing in Airflow's sense would stop backfills and manual runs as well.
    """
    if spec.paused and spec.schedule:
        return _NEVER
    if spec.start_date:
        start = datetime.fromisoformat(spec.start_date)
        return start if start.tzinfo else start.replace(tzinfo=ZoneInfo(spec.timezone))
    return _START


def _read(
    folders: list[Path], *, only: str | None
) -> Iterator[tuple[str, Path | None, StudySpec | None, InputError | None]]:
    for dag_id, paths in study_files(folders).items():
        if only is not None and dag_id != only:
            continue
        try:
            yield dag_id, paths[0], _read_one(dag_id, paths), None
        except InputError as error:
            yield dag_id, None, None, error


def _read_one(dag_id: str, paths: list[Path]) -> StudySpec:
    if len(paths) > 1:
        names = ", ".join(path.name for path in paths)
        raise SpecError([Problem("", f"{names} would be the same DAG {dag_id}: rename or remove one")])
    if not may_be_dag(paths[0]):
        raise SpecError([Problem("", FILE_NAME_RULE)], source=paths[0].name)
    return with_rounds(load(paths[0]), source=paths[0].name)


ADHOC_SLOTS = 16
REAPER_DOC = """Looks at every queue on which studies of this deployment train or have trained in the last two weeks, and ends the
jobs that nobody needs: their trial is decided, a later attempt runs, their study or its run is over or gone, or they are
past their end of life (tag `hpo:ends`). Jobs without the deployment's tag are left alone. The task returns what it found.
"""
ADHOC_DOC = """Runs the study that the field **Study** holds, up to {rounds} rounds.

The same keys as in a study file; validated by the first task, `prepare`, which says everything that is wrong at once
and creates nothing then. Through REST: `POST /api/v2/dags/hpo_adhoc/dagRuns` with
`{{"logical_date": null, "conf": {{"study": {{…}}}}}}`.
"""
ADHOC_EXAMPLE: dict[str, Any] = {
    "name": "ad hoc",
    "objective": {"metric": "accuracy", "direction": "maximize"},
    "search": {"max_depth": {"type": "int", "low": 2, "high": 12}},
    "batch_size": 2,
    "budget": {"trials": 4},
    "trial": {
        "trainer": "random_forest",
        "options": {"target": "target"},
        "inputs": {"train": "sklearn:iris"},
    },
}
