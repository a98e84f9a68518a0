"""One embedded Airflow for all tests that do not kill it; its study files are written before it starts."""

import json
import os
import sys

import pytest
from s3_server import ACCESS_KEY, SECRET_KEY

from tests.flow.airflow_under_test import PROGRAMS
from tests.flow.embedded_airflow import EmbeddedAirflow

DEEDS = ["segfault", "no_metric", "chatty", "deaf", "daemon", "glutton", "nan", "text", "good"]
REPROCESS = ["none", "failed", "completed"]


@pytest.fixture(scope="session")
def airflow(tmp_path_factory, s3):
    """A running Airflow with the study files of the tests in this folder, and a connection to an S3 server."""
    server = EmbeddedAirflow(tmp_path_factory.mktemp("airflow"))
    write_studies(server)
    server.write("on_s3", budget={"trials": 2}, batch_size=2, store={
        "uri": f"s3://{s3.new_bucket()}/hpo", "connection": "hpo_s3"
    })  # fmt: skip
    server.follow_asset("hpo://hpo_plain/best")
    os.environ["AIRFLOW_CONN_HPO_S3"] = json.dumps(
        {"conn_type": "aws", "login": ACCESS_KEY, "password": SECRET_KEY,
         "extra": {"endpoint_url": s3.endpoint, "region_name": "us-east-1"}}
    )  # fmt: skip
    os.environ["HPO_POOLS"] = "narrow"
    try:
        server.start()
        yield server
    finally:
        server.stop()


def write_studies(server):
    server.write("plain")
    server.write("slow", trial={"env": {"SECONDS_OF_WORK": "1.0"}})
    for behaviour in REPROCESS:
        server.write(
            f"nightly_{behaviour}",
            schedule="0 2 * * *",
            paused=True,
            budget={"trials": 2},
            batch_size=2,
            trial={"inputs": {"train": str(server.home.data / "{data_interval_start:%Y-%m-%d}.csv")}},
            initial=["previous_best"],
        )
    server.write(
        "deeds",
        search={"x": None, "y": None, "deed": {"type": "categorical", "choices": DEEDS}},
        optimizer={"sampler": "grid"},
        batch_size=len(DEEDS),
        budget={"trials": len(DEEDS), "max_failed_share": 1.0},
        trial={
            "command": [sys.executable, "deeds.py", "{deed}"],
            "code": {"dir": str(PROGRAMS)},
            "resources": {"memory": "300MiB"},
            "timeout": "10s",
        },
    )
    for stem in ("narrow_one", "narrow_two"):
        server.write(
            stem,
            pool="narrow",
            batch_size=3,
            budget={"trials": 3},
            trial={"env": {"SECONDS_OF_WORK": "0.3"}},
            backend={"slots": 3},
        )
    server.write("no_pool", pool="nobody_made_it")
    server.write("typo", trial={"command": [sys.executable, "no_such_program.py"]})
    (server.studies / "broken.yaml").write_text(
        "name: broken\nsearch: {lr: {type: float, low: 0, high: 1, log: true}}\n"
    )
    (server.studies / "twice.yaml").write_text("name: twice\n")
    (server.studies / "twice.json").write_text("{}")
    for day in ("2026-03-01", "2026-03-02"):
        server.home.data.mkdir(parents=True, exist_ok=True)
        (server.home.data / f"{day}.csv").write_text("a,b\n1,2\n")
