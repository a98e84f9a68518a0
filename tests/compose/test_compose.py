"""docker-compose.yaml: valid, without secrets, and its containers may do no more than they need."""

import json
import re
import runpy
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
from compose_file import read_document, read_env, read_services

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yaml"
MAKE_ENV = runpy.run_path(str(ROOT / "docker" / "make_env.py"))
SERVICES = list(read_document(FILE)["services"])
AIRFLOW = ["init", "api-server", "scheduler", "dag-processor", "triggerer", "worker"]
CONTROL_KEYS = {
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC", "AIRFLOW__CORE__FERNET_KEY",
    "AIRFLOW__API_AUTH__JWT_SECRET", "AIRFLOW__API__SECRET_KEY",
}  # fmt: skip
SECRET_NAME = re.compile(r"PASSWORD|SECRET|KEY|CONN$|CONN_ASYNC$|_DB$|BROKER_URL|RESULT_BACKEND")
REQUIRED = re.compile(r"\$\{\w+:\?[^}]+\}")


@pytest.fixture(scope="module")
def document():
    return read_document(FILE)


@pytest.fixture(scope="module")
def variables(tmp_path_factory):
    path = tmp_path_factory.mktemp("env") / ".env"
    path.write_text(MAKE_ENV["env_text"]())
    return read_env(path)


@pytest.fixture(scope="module")
def services(variables):
    return read_services(FILE, variables)


def test_it_follows_the_compose_specification(document):
    """The specification's own JSON schema, in the form that `docker compose` reads: anchors resolved."""
    schemas = resources.files("check_jsonschema.builtin_schemas.vendor")
    schema = json.loads((schemas / "compose-spec.json").read_text())
    jsonschema.validate(document, schema)


def test_every_secret_comes_from_env(document):
    """A variable that may hold one is nothing but required variables and fixed text around them."""
    for name, service in document["services"].items():
        for variable, value in service.get("environment", {}).items():
            if SECRET_NAME.search(variable):
                assert REQUIRED.search(str(value)), f"{name}: {variable}"


def test_nothing_in_the_file_looks_like_a_secret(variables):
    """No long run of letters and digits outside of comments, but for names."""
    text = "\n".join(
        line.split(" #")[0] for line in FILE.read_text().splitlines() if not line.lstrip().startswith("#")
    )
    assert [word for word in re.findall(r"[A-Za-z0-9+/=]{20,}", text) if re.search(r"\d", word)] == []
    assert [name for name in MAKE_ENV["PASSWORDS"] if variables[name] in text] == []


def test_what_the_file_requires_make_env_writes(variables, services):
    """And with nothing in .env the file refuses to be used, saying what to do."""
    assert set(services) == set(SERVICES)
    with pytest.raises(LookupError, match="run make env"):
        read_services(FILE, {})


@pytest.mark.parametrize("name", SERVICES)
def test_containers_have_few_rights(name, services):
    """An unprivileged user, no capabilities, no way to more, nothing of the host."""
    settings = services[name].settings
    assert settings["user"] not in ("root", "0", "0:0", "")
    assert settings["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in settings["security_opt"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices"} & set(settings)
    assert [source for source in services[name].volumes.values() if source.startswith("/")] == []


@pytest.mark.parametrize("name", SERVICES)
def test_containers_come_back_and_say_how_they_are(name, services):
    """Restarted when they end, orphans reaped; `init` ends by itself and is tried again only if it fails."""
    settings = services[name].settings
    assert settings["init"] is True
    if name == "init":
        assert settings["restart"].startswith("on-failure")
    else:
        assert settings["restart"] == "unless-stopped"
        assert len(services[name].health_check) > 1


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned(name, services):
    """To a whole version, not to `latest` or to a series."""
    _, colon, tag = services[name].settings["image"].rpartition(":")
    assert colon
    assert re.match(r"\d+\.\d+(\.\d+)?(-\w+)?$", tag)


def test_only_the_ui_is_published_and_only_on_this_machine(services):
    published = {name: one.settings["ports"] for name, one in services.items() if "ports" in one.settings}
    assert published == {"api-server": ["127.0.0.1:8080:8080"]}


def test_services_wait_for_others_to_be_healthy(services):
    """A condition on a health check that does not exist would wait for ever."""
    for service in services.values():
        for other, wait in service.settings.get("depends_on", {}).items():
            if wait["condition"] == "service_healthy":
                assert "healthcheck" in services[other].settings
            else:
                assert (other, wait["condition"]) == ("init", "service_completed_successfully")


def test_workers_hold_no_key_of_airflow(services):
    """Whoever breaks out of a trial finds neither Airflow's database nor what signs its tokens."""
    worker = services["worker"].environment
    assert not CONTROL_KEYS & set(worker)
    assert set(services["scheduler"].environment) >= CONTROL_KEYS
    airflow_password = services["postgres"].environment["AIRFLOW_DB_PASSWORD"]
    assert [name for name, value in worker.items() if airflow_password in value] == []


def test_databases_have_users_of_their_own(services):
    """Airflow's, the studies' and the task results: three databases, three users, three passwords."""
    urls = [
        services["scheduler"].environment[name]
        for name in ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "HPO_STUDY_DB", "AIRFLOW__CELERY__RESULT_BACKEND")
    ]
    parts = [re.fullmatch(r"[\w+]+://(\w+):(\w+)@postgres:5432/(\w+)", url).groups() for url in urls]
    assert [(user, database) for user, _, database in parts] == [
        (name, name) for name in ("airflow", "hpo", "celery")
    ]
    assert len({password for _, password, _ in parts}) == 3


@pytest.mark.parametrize("name", AIRFLOW)
def test_all_airflow_services_agree(name, services):
    """One image, and the same settings: two workers that differ would train the same study differently."""
    reference = services["worker"]
    assert services[name].settings["image"] == reference.settings["image"]
    assert reference.environment.items() <= services[name].environment.items()


def test_airflow_starts_no_more_tasks_than_the_workers_can_take(variables):
    """Else they wait in Redis, where Airflow takes them for lost and sends them again and again."""
    workers, tasks = int(variables["HPO_WORKERS"]), int(variables["HPO_WORKER_CONCURRENCY"])
    assert int(variables["HPO_PARALLELISM"]) == workers * tasks


def test_redis_never_delivers_a_running_task_again(services):
    """Not even one whose trial needs ten attempts of a month each."""
    visibility = services["worker"].environment[
        "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"
    ]
    assert float(visibility) >= 10 * 30 * 86_400
