"""What tasks read from Airflow connections."""

import json

import pytest
from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.sdk.exceptions import (
    AirflowNotFoundException,
    AirflowRuntimeError,
    AirflowSecretsBackendAccessDenied,
    ErrorType,
)
from airflow.sdk.execution_time.comms import ErrorResponse

from hpo_tasks.errors import InputError, RefusedError, SpecError, UnavailableError
from hpo_tasks.flow.settings import check_pool, connection_password, read_deployment
from hpo_tasks.flow.tasks import (
    _check_connection,
    _open,
    _s3_client,
    _surely,
    surely_read_deployment,
)
from hpo_tasks.spec.model import StoreRef

CANARY = "canary-4f1c9a"


@pytest.mark.parametrize(
    ("connection", "password"),
    [
        ({"conn_type": "http", "password": CANARY}, CANARY),
        ({"conn_type": "http", "password": "a@b:/ %41"}, "a@b:/ %41"),
        ({"conn_type": "http", "login": "somebody"}, ""),
        ({"conn_type": "http", "extra": {"password": CANARY}}, ""),
    ],
)
def test_the_password_of_a_connection_is_what_counts(monkeypatch, connection, password):
    monkeypatch.setenv("AIRFLOW_CONN_HPO_TEST_KEY", json.dumps(connection))
    assert connection_password("hpo_test_key") == password


def test_it_is_masked_in_airflows_log(monkeypatch):
    from airflow.sdk._shared.secrets_masker import redact

    monkeypatch.setenv("AIRFLOW_CONN_HPO_TEST_KEY", json.dumps({"conn_type": "http", "password": CANARY}))
    connection_password("hpo_test_key")
    assert redact(f"key {CANARY}") == "key ***"


def test_a_home_that_cannot_be_looked_at_stops_no_task(monkeypatch):
    """As in a container that runs under another user than HOME belongs to."""
    monkeypatch.setenv("HPO_DEPLOYMENT", "test")
    monkeypatch.setenv("HPO_STUDY_DB", "sqlite:////tmp/studies.db")
    monkeypatch.setenv(
        "HOME", f"/{'x' * 300}"
    )  # any error of the system; as root there is no other that is certain
    monkeypatch.delenv("AIRFLOW_HOME", raising=False)
    monkeypatch.delenv("HPO_PRIVATE", raising=False)
    assert read_deployment().hide == ()


def test_there_is_no_such_connection(monkeypatch):
    assert connection_password("hpo_no_such_connection") is None


@pytest.mark.parametrize(
    ("open_client", "error"),
    [
        (lambda: _check_connection("hpo_no_such_connection", connection_password), SpecError),
        (lambda: _s3_client("hpo_no_such_connection"), UnavailableError),
    ],
)
def test_a_stores_missing_connection_is_named(open_client, error):
    """Not the credentials that happen to be in the environment, which Airflow's hook would take instead.

    Prepare refuses it; later tasks try again, because Airflow says the same while its server is away.
    """
    with pytest.raises(error, match=r"store\.connection: .*`hpo_no_such_connection`"):
        open_client()


def test_a_connection_that_makes_no_client_is_named(monkeypatch):
    """One message, no traceback of boto3's."""
    connection = {"conn_type": "aws", "extra": {"endpoint_url": "no url", "region_name": "x"}}
    monkeypatch.setenv("AIRFLOW_CONN_HPO_TEST_KEY", json.dumps(connection))
    with pytest.raises(InputError, match=r"store\.connection: `hpo_test_key` makes no s3 client"):
        _s3_client("hpo_test_key")


def test_a_store_whose_connection_is_gone_for_a_moment_is_tried_again(monkeypatch):
    """Airflow's database may die between two looks: no other credentials are taken, and the task is retried."""

    def not_found(*_arguments):
        raise AirflowNotFoundException

    monkeypatch.setenv(
        "AIRFLOW_CONN_HPO_TEST_KEY", json.dumps({"conn_type": "aws", "login": "key", "password": "x"})
    )
    assert connection_password("hpo_test_key") == "x"
    monkeypatch.setattr(AwsBaseHook, "get_connection", not_found)
    with pytest.raises(UnavailableError, match="hpo_test_key"):
        _s3_client("hpo_test_key")


class Asked:
    """A task instance that asks Airflow."""

    task_id = "prepare"

    def __init__(self, answer):
        self._answer = answer

    def xcom_pull(self, task_ids):
        return self._answer()


def away():
    raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))


def test_no_connection_is_missing_while_airflow_is_away():
    """Prepare would refuse the study for good; so it fails, and is retried."""
    with pytest.raises(AirflowRuntimeError):
        _surely({"ti": Asked(away)})("hpo_no_such_connection")
    assert _surely({"ti": Asked(lambda: None)})("hpo_no_such_connection") is None


def test_a_store_s_connection_that_a_task_may_not_read_is_named(monkeypatch):
    """Waiting does not mend it, so the task is not retried."""

    def denied(*_arguments):
        raise AirflowSecretsBackendAccessDenied

    monkeypatch.setattr(AwsBaseHook, "get_connection", denied)
    with pytest.raises(RefusedError, match=r"store\.connection: .*`hpo_test_key`"):
        _s3_client("hpo_test_key")


def test_no_study_database_is_missing_while_airflow_is_away(monkeypatch):
    """Airflow does not find its connection then. Prepare asks again; later tasks know that there was one."""
    monkeypatch.setenv("HPO_DEPLOYMENT", "test")
    monkeypatch.delenv("HPO_STUDY_DB", raising=False)
    with pytest.raises(AirflowRuntimeError):
        surely_read_deployment({"ti": Asked(away)})
    with pytest.raises(InputError, match="study database: there is neither"):
        surely_read_deployment({"ti": Asked(lambda: None)})
    with pytest.raises(UnavailableError, match="study database"):
        _open({"study": "s", "store": "/nowhere", "connection": None})


def test_a_pool_that_the_deployment_does_not_know_is_refused(monkeypatch):
    """The message says what there is and where to add one."""
    monkeypatch.setenv("HPO_LOCAL_POOL", "hpo_local")
    monkeypatch.setenv("HPO_POOLS", "gpu, licences,")
    with pytest.raises(SpecError) as refused:
        check_pool("gpus")
    assert "`gpus` is not one of this deployment's pools (default_pool, gpu, hpo_local, licences)" in str(
        refused.value
    )
    assert "HPO_POOLS" in str(refused.value)
    assert refused.value.problems[0].field == "pool"


@pytest.mark.parametrize("pool", [None, "gpu", "licences", "hpo_local", "default_pool"])
def test_listed_pools_and_airflows_own_are_known(pool, monkeypatch):
    monkeypatch.setenv("HPO_LOCAL_POOL", "hpo_local")
    monkeypatch.setenv("HPO_POOLS", "gpu, licences,")
    check_pool(pool)


def test_the_default_store_is_opened_with_its_connection(monkeypatch, tmp_path):
    """HPO_STORE_CONNECTION goes with HPO_STORE alone: a study's own store names its own."""
    monkeypatch.setenv("HPO_DEPLOYMENT", "test")
    monkeypatch.setenv("HPO_STUDY_DB", "sqlite:////tmp/studies.db")
    monkeypatch.setenv("HPO_STATE", str(tmp_path))
    monkeypatch.setenv("HPO_STORE", "s3://bucket/hpo")
    monkeypatch.setenv("HPO_STORE_CONNECTION", "hpo_store")
    assert read_deployment().store == StoreRef(uri="s3://bucket/hpo", connection="hpo_store")
    monkeypatch.delenv("HPO_STORE")
    assert read_deployment().store is None
