"""The folder that holds everything embedded, and the settings that its Airflow runs with."""

import json
import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

from hpo_tasks.errors import InputError

POOL = "hpo_local"
LOCAL_SETTINGS = """\
from hpo_tasks.flow.embedded.airflow_db import commit_without_waiting_for_the_disk
from hpo_tasks.flow.preload import preload_tasks
from hpo_tasks.flow.task_ends import notice_task_ends_at_once

commit_without_waiting_for_the_disk()
if preload_tasks():
    notice_task_ends_at_once()
"""
"""What every process of the embedded Airflow executes at its start."""


@dataclass(frozen=True, slots=True)
class Home:
    """Paths below `HPO_HOME`.

    airflow/   Airflow's home: its database, logs, secrets
    db/        the study database
    store/     the object store
    jobs/      state of local jobs
    data/      inputs that study files name by relative paths
    studies/   links to study files outside the DAGs folder that `hpo run` was given
    prices.json   what `hpo prices update` found
    """

    root: Path

    @property
    def airflow(self) -> Path:
        return self.root / "airflow"

    @property
    def study_db(self) -> str:
        return f"sqlite:///{self.root / 'db' / 'studies.db'}"

    @property
    def store(self) -> Path:
        return self.root / "store"

    @property
    def jobs(self) -> Path:
        return self.root / "jobs"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def studies(self) -> Path:
        return self.root / "studies"

    @property
    def prices(self) -> Path:
        return self.root / "prices.json"

    @property
    def lock(self) -> Path:
        """Held by the running supervisor for its whole life."""
        return self.airflow / "supervisor.lock"

    @property
    def state(self) -> Path:
        """{"pid", "port"} of the running supervisor, written when all parts answer."""
        return self.airflow / "supervisor.json"

    @property
    def parts(self) -> Path:
        """The running parts of Airflow, see `sessions`."""
        return self.airflow / "parts.json"

    def create(self) -> None:
        """Make the folders; what Airflow and the study database keep is readable by this user alone."""
        for folder in (self.store, self.data, self.studies, self.airflow / "logs"):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.airflow, self.root / "db", self.jobs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings = self.airflow / "config" / "airflow_local_settings.py"
        settings.parent.mkdir(exist_ok=True)
        settings.write_text(LOCAL_SETTINGS)


def embedded_home() -> Home:
    """`HPO_HOME`, default `.hpo` in the current folder."""
    return Home(Path(os.environ.get("HPO_HOME") or ".hpo").absolute())


def dags_folder() -> Path:
    """The DAG files: `HPO_DAGS`, else `dags/` of the current folder, else of the checkout that this package lies in.

    Raises:
        InputError: none of them holds hpo_studies.py.
    """
    if named := os.environ.get("HPO_DAGS"):
        candidates = [Path(named).absolute()]
    else:
        candidates = [Path.cwd() / "dags", Path(__file__).resolve().parents[3] / "dags"]
    for folder in candidates:
        if (folder / "hpo_studies.py").is_file():
            return folder
    raise InputError(
        f"no hpo_studies.py in {' or '.join(map(str, candidates))}: run in the project's folder or set HPO_DAGS"
    )


def cores() -> int:
    """Processors of this machine."""
    return os.cpu_count() or 1


def pool_slots() -> int:
    """Slots of the pool: for the trials that run, one for each core, and for as many tasks that wait to be next."""
    return 2 * cores()


def airflow_settings(home: Home, dags: Path, port: int) -> dict[str, str]:
    """Environment of every Airflow process of the embedded set-up.

    Recovery: a killed scheduler is noticed and its tasks are retried within about half a minute; ten minutes without an
    API server end no task, and with it no trial (a lost host, which the heartbeat timeout is for, is all of us here).
    Speed: the scheduler waits for the tasks (executor.py), files are parsed when they have changed (study_watch.py). DAGs
    with a schedule start paused: looking at the examples starts no nightly run; `hpo run` or the UI unpauses them.
    """
    options = _airflow_options(home, dags, port) | _kept_secrets(home)
    named = {key if key == "AIRFLOW_HOME" else f"AIRFLOW__{key}": value for key, value in options.items()}
    return named | {
        "HPO_DEPLOYMENT": "embedded",
        "HPO_HOME": str(home.root),
        "HPO_STUDY_DB": home.study_db,
        "HPO_STORE": str(home.store),
        "HPO_STATE": str(home.jobs),
        "HPO_DATA": str(home.data),
        "HPO_STUDIES": str(home.studies),
        "HPO_PRIVATE": str(home.root / "db"),
        "HPO_LOCAL_POOL": POOL,
        "HPO_HOST_SLOTS": str(cores()),
        "HPO_TASKS_AHEAD": str(cores()),
        "HPO_ALLOW_LOCAL_ADHOC": "1",
        "HPO_REAPER_SCHEDULE": os.environ.get("HPO_REAPER_SCHEDULE", "none"),
    }


def _airflow_options(home: Home, dags: Path, port: int) -> dict[str, str]:
    """Airflow's options, named SECTION__KEY."""
    return {
        "AIRFLOW_HOME": str(home.airflow),
        "CORE__DAGS_FOLDER": str(dags),
        "CORE__PLUGINS_FOLDER": str(dags.parent / "plugins"),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
        "CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "1",
        "CORE__EXECUTOR": "hpo_tasks.flow.embedded.executor.LocalExecutor",
        "CORE__PARALLELISM": str(pool_slots() + max(2, cores())),
        "CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "CORE__DAGBAG_IMPORT_ERROR_TRACEBACKS": "False",
        "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home.airflow / 'airflow.db'}?timeout=60",
        "API__HOST": "127.0.0.1",
        "API__PORT": str(port),
        "API__BASE_URL": f"http://127.0.0.1:{port}",
        "API__WORKERS": "1",
        "API__LOG_FETCH_TIMEOUT_SEC": "5",
        "LOGGING__BASE_LOG_FOLDER": str(home.airflow / "logs"),
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0",
        "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
        "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "900",
        "WORKERS__MAX_FAILED_HEARTBEATS": "120",
        "SCHEDULER__CATCHUP_BY_DEFAULT": "False",
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
        "DAG_PROCESSOR__REFRESH_INTERVAL": "5",
    }


def airflow_environment(home: Home, dags: Path, port: int) -> dict[str, str]:
    """The whole environment: this process's, without Airflow settings of another set-up, with ours.

    Connections and variables from the environment (`AIRFLOW_CONN_…`, `AIRFLOW_VAR_…`) stay.
    """
    inherited = {key: value for key, value in os.environ.items() if not _is_foreign(key)}
    tools = str(Path(sys.executable).parent)
    path = f"{tools}{os.pathsep}{inherited.get('PATH', os.defpath)}"
    return inherited | airflow_settings(home, dags, port) | {"PATH": path}


def _is_foreign(name: str) -> bool:
    return name.startswith("AIRFLOW_") and not name.startswith(("AIRFLOW_CONN_", "AIRFLOW_VAR_"))


def _kept_secrets(home: Home) -> dict[str, str]:
    """Keys that Airflow's parts share; made at the first start, readable by this user alone."""
    path = home.airflow / "secrets.json"
    if not path.exists():
        made = {name: secrets.token_urlsafe(48) for name in ("API_AUTH__JWT_SECRET", "API__SECRET_KEY")}
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(made))
        temporary.replace(path)
    kept: dict[str, str] = json.loads(path.read_text())
    return kept
