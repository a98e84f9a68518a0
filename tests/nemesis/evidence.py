"""Collects what the oracle judges: from the trainer's ledger, the study database, the store, and Airflow's database."""

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import optuna
import psutil
from sqlalchemy import Engine, create_engine, text

from hpo_tasks.errors import IntegrityError
from hpo_tasks.store import open_store
from hpo_tasks.store.base import Store
from hpo_tasks.study import tables
from hpo_tasks.study.ledger import Ledger
from hpo_tasks.study.storage import parse_url
from hpo_tasks.trial.contract import decode_outcome
from hpo_tasks.trial.layout import SlotKey
from tests.flow.airflow_under_test import AirflowUnderTest
from tests.flow.celery_stack import CeleryStack
from tests.flow.embedded_airflow import EmbeddedAirflow
from tests.flow.reference import undisturbed
from tests.nemesis.oracle import Evidence, Key, Line, Row
from tests.nemesis.recovery import Progress
from tests.nemesis.runs import Run

TASK_COLUMNS = "task_id, map_index, try_number, state, queued_dttm, start_date, end_date"
MAX_OUTCOME_BYTES = 1 << 20


class Sources:
    """Where an Airflow's evidence lies; only to be read when nothing is killed any more."""

    def __init__(self, airflow: EmbeddedAirflow | CeleryStack) -> None:
        self._airflow = airflow
        self._lines = airflow.trained()
        self._storage = optuna.storages.RDBStorage(parse_url(airflow.study_db).render_as_string(False))
        self._store = store_of(airflow)
        self._database = airflow_database(airflow)

    def evidence(self, run: Run) -> Evidence:
        """About one run."""
        stem = run.dag_id.removeprefix("hpo_")
        return Evidence(
            name=f"{run.dag_id} {run.run_id}",
            expected=undisturbed(self._airflow, stem, run.study),
            lines=self._lines_of(run),
            rows=self._rows(run),
            outcomes=self._outcomes(run),
            run=run.state or "not over",
            study=self._study_state(run),
            tasks={
                f"{row['task_id']}[{row['map_index']}]": str(row["state"])
                for row in self._tasks(run, "task_instance")
            },
        )

    def progress(self, run: Run) -> Progress:
        """When it made steps, those of killed tries too."""
        rows = [*self._tasks(run, "task_instance"), *self._tasks(run, "task_instance_history")]
        queued = _moments(row["queued_dttm"] for row in rows)
        others = _moments(row[column] for row in rows for column in ("start_date", "end_date"))
        starts = [line.at for line in self._lines_of(run) if line.event == "start"]
        return Progress(run.began, run.ended, queued, [*queued, *others, *starts])

    def _lines_of(self, run: Run) -> list[Line]:
        return [
            Line(
                line["event"],
                (int(line["HPO_ROUND"]), int(line["HPO_SLOT"])),
                int(line["HPO_ATTEMPT"]),
                float(line["at"]),
            )
            for line in self._lines
            if line["HPO_STUDY"] == run.study
        ]

    def _study_state(self, run: Run) -> str:
        try:
            return Ledger(self._airflow.study_db).study(run.study).state
        except IntegrityError:
            return "not there"

    def _rows(self, run: Run) -> list[Row]:
        """Through Optuna, not through the code that is being tested."""
        try:
            study = optuna.load_study(study_name=run.study, storage=self._storage)
        except KeyError:
            return []
        found = []
        for trial in study.get_trials(deepcopy=False):
            key = trial.user_attrs.get(tables.KEY)
            found.append(
                Row(
                    trial.number,
                    key and (key["round"], key["slot"]),
                    tables.STATES[trial.state],
                    trial.value if trial.values else None,
                    superseded=tables.SUPERSEDED in trial.user_attrs,
                )
            )
        return found

    def _outcomes(self, run: Run) -> dict[Key, float | None]:
        found = {}
        for row in self._rows(run):
            if row.key is None:
                continue
            data = self._store.read(SlotKey(run.study, *row.key).outcome, limit=MAX_OUTCOME_BYTES)
            if data is not None:
                outcome = decode_outcome(data)
                found[row.key] = outcome.values["loss"] if outcome.cls == "complete" else None
        return found

    def _tasks(self, run: Run, table: str) -> list[Any]:
        query = text(f"SELECT {TASK_COLUMNS} FROM {table} WHERE dag_id = :dag AND run_id = :run")
        with self._database.connect() as connection:
            return list(connection.execute(query, {"dag": run.dag_id, "run": run.run_id}).mappings())


def store_of(airflow: EmbeddedAirflow | CeleryStack) -> Store:
    if isinstance(airflow, EmbeddedAirflow):
        return open_store(str(airflow.home.store))
    return open_store("s3://hpo/studies", client=airflow.store_client())


def airflow_database(airflow: EmbeddedAirflow | CeleryStack) -> Engine:
    if isinstance(airflow, EmbeddedAirflow):
        return create_engine(f"sqlite:///{airflow.home.airflow / 'airflow.db'}")
    return create_engine(airflow.containers["scheduler"].environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])


def processes_left(airflow: AirflowUnderTest) -> list[str]:
    """Living processes of an Airflow that was stopped: their environment or command line names its folder."""
    found = []
    folder = str(airflow.ledger.parent)
    others = (process for process in psutil.process_iter() if process.pid != os.getpid())
    for process in others:
        try:
            words = [*process.cmdline(), *process.environ().values()]
        except (psutil.Error, OSError):
            continue
        if any(folder in word for word in words):
            found.append(f"{process.pid} {' '.join(words[:4])}")
    return found


def _moments(values: Iterable[Any]) -> list[float]:
    """Unix seconds; SQLite hands out text without a zone, which is UTC."""
    found = []
    for value in values:
        if value is not None:
            moment = datetime.fromisoformat(value) if isinstance(value, str) else value
            found.append((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    return found
