"""Airflow: the DAG factory, the operators, and the embedded Airflow. Only this package and plugins/ import airflow."""
