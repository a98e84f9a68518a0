"""The Airflow DAG that ends jobs on clouds which are alive without reason."""

from hpo_tasks.flow.dags import reaper_dag

hpo_reaper = reaper_dag()
