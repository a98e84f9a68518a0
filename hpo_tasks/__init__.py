"""Hyperparameter studies as Airflow DAGs. Imports nothing: task processes import only what they use."""
