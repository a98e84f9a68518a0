"""The embedded Airflow's own database: SQLite, one file, which every task writes to a dozen times."""

import os
from pathlib import Path
from typing import Any


def commit_without_waiting_for_the_disk() -> None:
    """Let this process's connections to Airflow's own database leave it to the system when commits reach the disk.

    A process that is killed loses nothing by that. A power failure may undo Airflow's last moments, never damage the
    file; the study database, which is what counts, always waits.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    own = Path(os.environ["AIRFLOW_HOME"]) / "airflow.db"

    @event.listens_for(Engine, "connect")
    def relax(connection: Any, _record: Any) -> None:
        if "sqlite" in type(connection).__module__ and _file_of(connection) == own:
            connection.execute("PRAGMA synchronous = NORMAL")


def _file_of(connection: Any) -> Path:
    cursor = connection.cursor()
    try:
        cursor.execute("PRAGMA database_list")
        return Path(next((row[2] for row in cursor.fetchall() if row[1] == "main"), ""))
    finally:
        cursor.close()
