"""What the tasks do, without Airflow: each step takes a Run and can be repeated after a kill at any point."""
