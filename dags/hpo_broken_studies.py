"""No DAG: raises the problems of broken study files, so that Airflow lists them and no other DAG is harmed."""

from pathlib import Path

from hpo_tasks.flow.dags import raise_broken
from hpo_tasks.flow.folders import study_folders

raise_broken(study_folders(Path(__file__).parent))
