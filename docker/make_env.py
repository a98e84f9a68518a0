"""Writes .env for docker-compose.yaml: random secrets, readable by this user alone. Never touches one that is there."""

import base64
import os
import secrets
import sys
from pathlib import Path

PASSWORDS = (
    "ADMIN_PASSWORD", "POSTGRES_PASSWORD", "AIRFLOW_DB_PASSWORD", "CELERY_DB_PASSWORD", "HPO_DB_PASSWORD",
    "REDIS_PASSWORD", "STORE_ACCESS_KEY", "STORE_SECRET_KEY", "JWT_SECRET", "API_SECRET_KEY",
)  # fmt: skip
NUMBERS = """\
# Name of this deployment; part of every study's id, so it stays as it is.
HPO_DEPLOYMENT=compose
# Containers with a Celery worker, tasks of each, and their product: what Airflow may start at the same time.
HPO_WORKERS=2
HPO_WORKER_CONCURRENCY=4
HPO_PARALLELISM=8
# Slots of the pool of local trials when it is made; later: the UI, Admin, Pools.
HPO_LOCAL_SLOTS=4
# Further pools that study files may name, comma-separated; make them in the UI.
HPO_POOLS=
# A worker that is silent for so many seconds is dead: its tasks are retried on the others.
HPO_WORKER_TIMEOUT_S=180
# Port of the UI on 127.0.0.1.
HPO_UI_PORT=8080
"""


def env_text() -> str:
    """The whole file, with new secrets."""
    fernet = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    made = [f"{name}={secrets.token_hex(24)}" for name in PASSWORDS] + [f"FERNET_KEY={fernet}"]
    return NUMBERS + "\n".join(made) + "\n"


def main() -> None:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else ".env")
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        print(f"{path} is there already: left as it is")
        return
    with os.fdopen(handle, "w") as file:
        file.write(env_text())
    print(f"{path} written; the UI's user is admin, its password is ADMIN_PASSWORD in that file")


if __name__ == "__main__":
    main()
