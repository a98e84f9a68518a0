"""An Airflow of one's own on this machine: SQLite, LocalExecutor, no login, 127.0.0.1 only."""
