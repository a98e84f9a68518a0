"""One Airflow DAG per good study file in `studies/`. Broken ones are reported by hpo_broken_studies.py."""

from pathlib import Path

from hpo_tasks.flow.dags import study_dags
from hpo_tasks.flow.folders import study_folders

globals().update(study_dags(study_folders(Path(__file__).parent)))
