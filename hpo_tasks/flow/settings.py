"""Where this deployment keeps its things: read from the environment and Airflow connections when a task needs it."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from hpo_tasks.errors import InputError, Problem, RefusedError, SpecError
from hpo_tasks.spec.model import StoreRef
from hpo_tasks.trial.local_files import plain_errors

STUDY_DB_CONNECTION = "hpo_study_db"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One installation of this package.

    Attributes:
        name: `HPO_DEPLOYMENT`; part of every study's id, so that dev and prod do not meet.
        study_db: SQLAlchemy URL of the study database; may hold a password, never log it.
        store: `HPO_STORE`, opened with the Airflow connection `HPO_STORE_CONNECTION`, for study files without `store`;
            None if unset.
        state_dir: `HPO_STATE`: this host's folder for local jobs.
        data_root: `HPO_DATA`: folder below which relative inputs lie; None if unset.
        hide: folders that local trials must not see.
    """

    name: str
    study_db: str
    store: StoreRef | None
    state_dir: Path
    data_root: Path | None
    hide: tuple[Path, ...]


def read_deployment() -> Deployment:
    """Read the deployment's settings.

    Raises:
        InputError: HPO_DEPLOYMENT or the study database is not set, or HPO_STORE is relative; says what to set.
    """
    name = os.environ.get("HPO_DEPLOYMENT", "").strip()
    if not name:
        raise InputError(
            "HPO_DEPLOYMENT: not set; give this Airflow a name of its own (for example `prod`) in the environment "
            "of scheduler and workers, so that studies of two deployments never meet"
        )
    store = os.environ.get("HPO_STORE")
    if store and "://" not in store and not Path(store).is_absolute():
        raise InputError(f"HPO_STORE: must be an absolute folder or an s3:// prefix, got {store}")
    data = os.environ.get("HPO_DATA")
    return Deployment(
        name=name,
        study_db=_study_db(),
        store=StoreRef(uri=store, connection=os.environ.get("HPO_STORE_CONNECTION") or None)
        if store
        else None,
        state_dir=_state_dir(),
        data_root=Path(data) if data else None,
        hide=_hidden_folders(),
    )


def _state_dir() -> Path:
    """`HPO_STATE`, or a folder of this user where every user may write: taken only if it is this user's alone."""
    if named := os.environ.get("HPO_STATE"):
        return Path(named)
    folder = Path(f"/var/tmp/hpo-{os.getuid()}")  # noqa: S108 - checked below
    with plain_errors(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise InputError(
            f"HPO_STATE: not set, and {folder} is not a private folder of this user; set it to one that is"
        )
    return folder


class NoStudyDatabaseError(InputError):
    """Nobody says where the study database is. Of the connection Airflow says so too while it is away itself."""


def _study_db() -> str:
    if url := os.environ.get("HPO_STUDY_DB"):
        return url
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        return str(BaseHook.get_connection(STUDY_DB_CONNECTION).get_uri())
    except AirflowNotFoundException:
        raise NoStudyDatabaseError(
            f"study database: there is neither an Airflow connection `{STUDY_DB_CONNECTION}` nor HPO_STUDY_DB; create "
            f"the connection: airflow connections add {STUDY_DB_CONNECTION} --conn-uri postgresql://user:password@host/db"
        ) from None


def connection_password(connection: str) -> str | None:
    """Password of an Airflow connection, masked in the task's log; "" if it has none, None if there is no such one.

    Raises:
        RefusedError: this task may not read the connection.
    """
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException, AirflowSecretsBackendAccessDenied
    from airflow.sdk.log import mask_secret

    try:
        password = BaseHook.get_connection(connection).password
    except AirflowNotFoundException:
        return None
    except AirflowSecretsBackendAccessDenied:
        raise RefusedError(
            f"Airflow does not let this task read the connection `{connection}`: allow it"
        ) from None
    if password:
        mask_secret(password)
    return password or ""


def _hidden_folders() -> tuple[Path, ...]:
    """Airflow's home, the embedded set-up's secrets and the user's credentials: local trials do not see them."""
    home = Path.home()
    named = [home / ".aws", home / ".ssh", home / ".config", home / ".netrc"]
    named += [Path(os.environ[name]) for name in ("AIRFLOW_HOME", "HPO_PRIVATE") if os.environ.get(name)]
    return tuple(path for path in named if _is_there(path))


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # HOME is another user's: what we cannot look at, our trials cannot either
        return False


def tasks_ahead() -> int:
    """`HPO_TASKS_AHEAD`: train tasks that may be started beyond a study's slots, and wait there for a free one.

    They hide what Airflow needs to start a task. Slots are locked files of a host, so this is for one host only.
    """
    return _count("HPO_TASKS_AHEAD") or 0


def host_slots() -> int | None:
    """`HPO_HOST_SLOTS`: trials that all studies together may train on this host at once; None without such a limit."""
    return _count("HPO_HOST_SLOTS")


def _count(variable: str) -> int | None:
    text = os.environ.get(variable, "").strip()
    if not text:
        return None
    if not text.isdigit():
        raise InputError(f"{variable}: must be a whole number, got {text}")
    return int(text)


def check_pool(pool: str | None) -> None:
    """Refuse a pool that this deployment does not know.

    Airflow never starts a task whose pool does not exist and tells nobody but the scheduler's log; a task cannot ask it
    which pools there are. So the deployment lists them.

    Raises:
        SpecError: names `pool`.
    """
    if pool is None or pool in (known := known_pools()):
        return
    names = ", ".join(sorted(known))
    raise SpecError(
        [Problem("pool", f"`{pool}` is not one of this deployment's pools ({names}): create it in Airflow "
                 "(Admin, Pools) and add it to HPO_POOLS of the workers")]
    )  # fmt: skip


def known_pools() -> set[str]:
    """Pools that study files may name: `HPO_POOLS` (names, comma-separated), that of local trials, and Airflow's own."""
    listed = {name.strip() for name in os.environ.get("HPO_POOLS", "").split(",")} - {""}
    return {*listed, local_pool(), "default_pool"}


def local_pool() -> str:
    """The Airflow pool of local trials: `HPO_LOCAL_POOL`, or Airflow's own default pool, which always exists."""
    return os.environ.get("HPO_LOCAL_POOL") or "default_pool"
