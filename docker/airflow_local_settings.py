"""What every Airflow process of the containers executes at its start: task processes are forked with all loaded."""

from hpo_tasks.flow.preload import preload_tasks
from hpo_tasks.flow.task_ends import notice_task_ends_at_once

if preload_tasks():
    notice_task_ends_at_once()
