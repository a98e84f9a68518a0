"""What tasks read from Airflow connections."""

import json

import pytest

from hpo_tasks.flow.settings import connection_password

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


def test_there_is_no_such_connection(monkeypatch):
    assert connection_password("hpo_no_such_connection") is None
