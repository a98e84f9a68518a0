"""From an Airflow context to the reaper."""

from dataclasses import asdict
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowRuntimeError

from hpo_tasks.flow.tasks import open_ledger, surely_read_deployment
from hpo_tasks.study.records import StudyRecord

HTTP_NOT_FOUND = 404


def reap_task(context: Context) -> list[dict[str, Any]]:
    """End the jobs that nobody needs; returns them."""
    from hpo_tasks.flow.steps.reap import reap

    deployment = surely_read_deployment(context)
    ti = context["ti"]

    def run_is_over(record: StudyRecord) -> bool:
        header = record.header
        return run_state(ti, header.dag_id, header.run_id) in (None, "success", "failed")

    found = reap(
        open_ledger(deployment), deployment.name, run_is_over, dry_run=bool(context["params"]["dry_run"])
    )
    return [asdict(job) for job in found]


def run_state(ti: Any, dag_id: str, run_id: str) -> str | None:
    """State of a DAG run, None if there is no such run.

    Raises:
        AirflowRuntimeError: Airflow does not answer.
    """
    try:
        return str(ti.get_dagrun_state(dag_id, run_id))
    except AirflowRuntimeError as error:
        detail = error.error.detail or {}
        if detail.get("status_code") == HTTP_NOT_FOUND:
            return None
        raise
