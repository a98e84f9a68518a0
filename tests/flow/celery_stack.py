"""docker-compose.yaml without Docker: the commands that it names, in the environment that it gives, on this host.

Changed is only what must be: service host names become 127.0.0.1 with free ports, paths in containers become folders
below one root. PostgreSQL and Redis are this machine's, the object store is MiniStack.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import psutil
from compose_file import Service, read_env, read_services
from containers import Container, Restarter
from postgres_server import PostgresServer

from hpo_tasks.trial.s3_objects import client_config
from tests.flow.airflow_under_test import ROOT, AirflowUnderTest, patient_client, until

COMPOSE = ROOT / "docker-compose.yaml"
PORTS = {"api-server": "8080", "postgres": "5432", "redis": "6379", "object-store": "9000"}
"""What the services listen on inside of their containers."""
AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer", "worker")
PATIENCE_S = 300.0


class CeleryStack(AirflowUnderTest):
    """The services of docker-compose.yaml.

    Attributes:
        containers: by name; those of the service `worker` are `worker-1`, `worker-2`, ….
        postgres: the database server.
        variables: what .env says.
    """

    def __init__(self, root: Path, **variables: str) -> None:
        """Below `root`, with an .env of its own; `variables` replace what `make env` would write there."""
        super().__init__(root)
        self._root = root
        self._ports = {service: free_port() for service in PORTS}
        env = root / ".env"
        subprocess.run(
            [sys.executable, ROOT / "docker" / "make_env.py", env], check=True, capture_output=True
        )
        self.variables = {
            **read_env(env),
            "HPO_UI_PORT": str(self._ports["api-server"]),
            **variables,
        }
        self.deployment = self.variables["HPO_DEPLOYMENT"]
        self._services = read_services(COMPOSE, self.variables)
        self.containers = {
            name: self._container(service, name)
            for service in self._services.values()
            for name in names_of(service)
            if service.name not in ("init", "postgres")
        }
        self.postgres = self._postgres_server()
        self._restarter: Restarter | None = None

    # running it

    @property
    def study_db(self) -> str:
        return self._environment(self._services["worker"])["HPO_STUDY_DB"]

    def start(self) -> None:
        """Start everything, each service when those are ready that the file says it waits for.

        Again after `kill_everything`: on the same data.
        """
        self._start_postgres()
        for name in ("redis", "object-store"):
            self.containers[name].start()
        for name in ("redis", "object-store"):
            until(lambda name=name: self._listens(name), what=f"{name} to listen")
        self.run_init()
        for name, container in self.containers.items():
            if name not in ("redis", "object-store"):
                container.start()
        self._restarter = Restarter(list(self.containers.values()))
        until(self._is_ready, timeout_s=PATIENCE_S, what="Airflow to know a scheduler and a DAG processor")
        self.log_in(self.url, self._token())

    def stop(self) -> None:
        self._stop_restarter()
        for container in self.containers.values():
            container.kill()
        self.postgres.stop()

    def run_init(self) -> None:
        """Run the one-shot service to its end, as every `docker compose up` does."""
        init = self._container(self._services["init"], "init")
        done = init.run(init.command)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    def kill(self, name: str) -> None:
        """Kill a container with all that runs in it; it is started again, unless its `restarts` is off."""
        self.containers[name].kill()

    def kill_everything(self) -> None:
        """Kill all containers; PostgreSQL ends as in a crash."""
        self._stop_restarter()
        for container in self.containers.values():
            container.kill()
        self.postgres.crash()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._ports['api-server']}"

    @property
    def workers(self) -> list[str]:
        """Names of the containers with a Celery worker."""
        return names_of(self._services["worker"])

    def part(self, name: str) -> psutil.Process:
        return until(self.containers[name].main_process, timeout_s=30, what=f"a running {name}")

    def processes(self) -> list[psutil.Process]:
        """What runs in the containers. PostgreSQL is not among them."""
        return [process for container in self.containers.values() for process in container.processes()]

    def is_healthy(self, name: str) -> bool:
        """Whether the container passes the health check that the file names."""
        service = self._service_of(name)
        command = [self._on_this_host(service, word) for word in service.health_check]
        return self.containers[name].run(command).returncode == 0

    def airflow(self, *arguments: str) -> str:
        """The airflow command line, as in the scheduler's container."""
        done = self.containers["scheduler"].run(["airflow", *arguments])
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    def store_client(self) -> Any:
        """A boto3 client of the object store."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self._ports['object-store']}",
            aws_access_key_id=self.variables["STORE_ACCESS_KEY"],
            aws_secret_access_key=self.variables["STORE_SECRET_KEY"],
            region_name="us-east-1",
            config=client_config(),
        )

    def _is_ready(self) -> bool:
        try:
            health = httpx.get(f"{self.url}/api/v2/monitor/health", timeout=10).raise_for_status().json()
        except httpx.HTTPError:
            return False
        return all(health[part]["status"] == "healthy" for part in ("scheduler", "dag_processor"))

    def _token(self) -> str:
        account = {"username": "admin", "password": self.variables["ADMIN_PASSWORD"]}
        with patient_client(self.url) as client:
            return client.post("/auth/token", json=account).raise_for_status().json()["access_token"]

    def _listens(self, service: str) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._ports[service])) == 0

    def _stop_restarter(self) -> None:
        if self._restarter is not None:
            self._restarter.stop()
            self._restarter = None

    # from the file to this host

    def _service_of(self, container: str) -> Service:
        return self._services.get(container) or self._services[container.rpartition("-")[0]]

    def _container(self, service: Service, name: str) -> Container:
        folder = self._root / "containers" / name
        folder.mkdir(parents=True, exist_ok=True)
        command = [self._on_this_host(service, word, folder) for word in service.command]
        environment = self._environment(service, folder)
        if service.name in AIRFLOW:
            config = folder / "airflow" / "config"  # where the image has it
            config.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / "docker" / "airflow_local_settings.py", config)
        if service.name == "object-store":
            command, environment = self._ministack(folder)
        return Container(name, command, environment, folder, self._root / f"{name}.log")

    def _environment(self, service: Service, folder: Path = Path()) -> dict[str, str]:
        """The whole environment of a container: the image's, then the file's."""
        image = {"AIRFLOW_HOME": "/opt/airflow", "PYTHONUNBUFFERED": "1", "HOME": "/home/airflow"}
        said = {**image, **service.environment}
        mapped = {name: self._on_this_host(service, value, folder) for name, value in said.items()}
        tools = str(Path(sys.executable).parent)
        return mapped | {"PATH": f"{tools}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}

    def _on_this_host(self, service: Service, text: str, folder: Path = Path()) -> str:
        """A word of the file with addresses and paths of this host instead of the containers'."""
        for name, port in PORTS.items():
            text = text.replace(f"{name}:{port}", f"127.0.0.1:{self._ports[name]}")
        if (own := PORTS.get(service.name)) is not None:
            text = re.sub(rf"(?<![\w.]){own}(?!\w)", str(self._ports[service.name]), text)
        elif text == PORTS["api-server"]:
            text = str(self._ports["api-server"])
        text = text.replace("0.0.0.0", "127.0.0.1")
        for inside, outside in self._folders(service, folder).items():
            text = re.sub(rf"(?<![\w/.]){re.escape(inside)}(?![\w.-])", str(outside), text)
        return text

    def _folders(self, service: Service, folder: Path) -> dict[str, Path]:
        """Path in the container → on this host, the longer paths first."""
        folders = {
            "/opt/airflow": folder / "airflow",
            "/opt/hpo": ROOT / "docker",
            "/home/airflow": folder / "home",
            "/var/lib/hpo": folder / "hpo",
        }
        for inside, source in service.volumes.items():
            folders[inside] = self._root / source.removeprefix("./")
        for outside in folders.values():
            outside.mkdir(parents=True, exist_ok=True)
        return dict(sorted(folders.items(), key=lambda pair: -len(pair[0])))

    def _ministack(self, folder: Path) -> tuple[list[str], dict[str, str]]:
        """The object store of the tests: MiniStack, which keeps its objects when it is killed."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self._ports["object-store"]),
            "SERVICES": "s3",
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(folder / "objects"),
            "LOG_LEVEL": "WARNING",
        }
        return [sys.executable, "-m", "ministack"], environment

    def _postgres_server(self) -> PostgresServer:
        service = self._services["postgres"]
        options = service.command[2::2]  # postgres -c NAME=VALUE -c …
        return PostgresServer(
            user="postgres",
            password=service.environment["POSTGRES_PASSWORD"],
            settings=dict(option.split("=", 1) for option in options),
            port=self._ports["postgres"],
        )

    def _start_postgres(self) -> None:
        """At the first start the image runs what lies in /docker-entrypoint-initdb.d; here we do."""
        is_first = not self.postgres.is_set_up
        self.postgres.start()
        if is_first:
            service = self._services["postgres"]
            scripts = ROOT / service.volumes["/docker-entrypoint-initdb.d"]
            for script in sorted(scripts.glob("*.sh")):
                self.postgres.run_script(
                    script, {**service.environment, "POSTGRES_USER": self.postgres.superuser}
                )


def names_of(service: Service) -> list[str]:
    """Names of a service's containers: `scheduler`, or `worker-1`, `worker-2`."""
    if service.replicas == 1:
        return [service.name]
    return [f"{service.name}-{number}" for number in range(1, service.replicas + 1)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
