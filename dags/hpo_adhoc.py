"""The Airflow DAG that takes a whole study in its trigger form or through REST."""

from hpo_tasks.flow.dags import adhoc_dag

hpo_adhoc = adhoc_dag()
