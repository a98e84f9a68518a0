"""Exit code 0 if the Airflow service named by the argument is alive. Small, because it runs every half minute."""

import json
import os
import socket
import sys
from urllib.parse import urlsplit
from urllib.request import urlopen

PARTS = {"scheduler": "scheduler", "dag-processor": "dag_processor", "triggerer": "triggerer"}
"""Service → its name in the API server's answer."""
TIMEOUT_S = 10


def main() -> None:
    service = sys.argv[1]
    if service == "worker":
        alive = worker_answers()
    else:
        health = api_server_health()
        alive = service == "api-server" or health[PARTS[service]]["status"] == "healthy"
    raise SystemExit(0 if alive else 1)


def api_server_health() -> dict[str, dict[str, str]]:
    """What the API server says about Airflow's parts; an error if it does not answer."""
    address = urlsplit(os.environ["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"])
    with urlopen(f"http://{address.netloc}/api/v2/monitor/health", timeout=TIMEOUT_S) as reply:
        answer: dict[str, dict[str, str]] = json.load(reply)
    return answer


def worker_answers() -> bool:
    """Whether this container's Celery worker answers a ping through Redis."""
    from celery import Celery  # noqa: PLC0415 - half a second that only the workers' check takes

    app = Celery(broker=os.environ["AIRFLOW__CELERY__BROKER_URL"])
    name = f"celery@{socket.gethostname()}"
    return bool(app.control.ping(destination=[name], timeout=TIMEOUT_S))


if __name__ == "__main__":
    main()
