"""Has Airflow look at the study files as soon as one of them has changed.

Airflow parses a DAG file again when that has changed, and every `[dag_processor] min_file_process_interval`. Our DAG files
never change, what they read does; and to parse them often takes processor time from the trials.
"""

import os
from contextlib import suppress
from pathlib import Path

from hpo_tasks.flow.folders import study_files, study_folders

AGAIN = 10
"""So many looks after a change the DAG files get a new time again: a parse that was under way at the first one may have
read the old study file."""


class StudyWatch:
    """The study files of one DAGs folder, as they were seen last."""

    def __init__(self, dags: Path) -> None:
        """What is there now counts as seen: Airflow parses everything when it starts."""
        self._dags = dags
        self._seen = self._look()
        self._looks_since = AGAIN + 1

    def look(self) -> None:
        """If a study file has come, gone or changed, give the DAG files that read them a new time. To be called often."""
        found = self._look()
        self._looks_since = 0 if found != self._seen else self._looks_since + 1
        self._seen = found
        if self._looks_since in (0, AGAIN):
            for dag_file in self._dags.glob("hpo_*studies.py"):
                with suppress(OSError):  # not ours to change: then it takes the interval
                    os.utime(dag_file)

    def _look(self) -> dict[Path, int]:
        times: dict[Path, int] = {}
        with suppress(OSError):  # a folder is gone this very moment, which is no reason for our caller to end
            for paths in study_files(study_folders(self._dags)).values():
                for path in paths:
                    with suppress(OSError):  # so is a file, or it is a link to nowhere
                        times[path] = path.stat().st_mtime_ns
        return times
