"""Imports what the tasks of studies need in the process that Airflow forks its tasks from, once instead of in each of them.

Called from `airflow_local_settings.py`, which every Airflow process executes at its start:

    from hpo_tasks.flow.preload import preload_tasks

    preload_tasks()
"""

import importlib
import sys

TASK_PARENTS = ("scheduler", "celery")
"""Commands of `airflow` that fork task processes: with the LocalExecutor, and with Celery's workers."""
MODULES = (
    "airflow.dag_processing.bundles.local",
    "airflow.providers.amazon.aws.hooks.s3",
    "airflow.providers.standard.operators.empty",
    "airflow.sdk.bases.sensor",
    "airflow.sdk.bases.skipmixin",
    "airflow.sdk.execution_time.task_runner",
    "hpo_tasks.flow.dags",
    "hpo_tasks.flow.steps.ask",
    "hpo_tasks.flow.steps.conclude",
    "hpo_tasks.flow.steps.local",
    "hpo_tasks.flow.steps.prepare",
    "hpo_tasks.flow.steps.tell",
    "hpo_tasks.flow.tasks",
    "hpo_tasks.store.folder_store",
    "hpo_tasks.store.s3_store",
    "hpo_tasks.study.ledger",
    "jinja2.ext",
    "ruamel.yaml",
)


def preload_tasks() -> bool:
    """Import the modules, if this process is one that tasks are forked from; returns whether it is."""
    is_parent = any(command in sys.argv for command in TASK_PARENTS)
    if is_parent:
        for module in MODULES:
            importlib.import_module(module)
    return is_parent
