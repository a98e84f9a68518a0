"""Prepares a deployment: databases, pool, object store, its connection, the first user. Safe to repeat.

Runs once before Airflow's services start, with their environment.
"""

import json
import os
import sys

import boto3
from airflow.__main__ import main as airflow_command
from botocore.exceptions import ClientError

from hpo_tasks.store import open_store
from hpo_tasks.study.ledger import Ledger
from hpo_tasks.trial.s3_objects import client_config

POOL_HELP = "local trials that run at the same time on all workers together"


def main() -> None:
    airflow("db", "migrate")
    Ledger(os.environ["HPO_STUDY_DB"]).check()
    create_store()
    create_connection(os.environ["HPO_STORE_CONNECTION"])
    create_pool(os.environ["HPO_LOCAL_POOL"], os.environ["HPO_LOCAL_SLOTS"])
    airflow(
        "users", "create", "--username=admin", "--role=Admin", "--firstname=First", "--lastname=User",
        "--email=admin@localhost", f"--password={os.environ['ADMIN_PASSWORD']}",
    )  # fmt: skip


def create_store() -> None:
    """The bucket of HPO_STORE; ends with an error if its server does not keep what studies need."""
    client = boto3.client("s3", region_name="us-east-1", config=client_config(), **credentials())
    bucket = os.environ["HPO_STORE"].removeprefix("s3://").partition("/")[0]
    try:
        client.create_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            raise
    open_store(os.environ["HPO_STORE"], client=client).probe()


def credentials() -> dict[str, str]:
    return {
        "endpoint_url": os.environ["STORE_ENDPOINT"],
        "aws_access_key_id": os.environ["STORE_ACCESS_KEY"],
        "aws_secret_access_key": os.environ["STORE_SECRET_KEY"],
    }


def create_connection(name: str) -> None:
    """The Airflow connection of the store, unless somebody made one."""
    if succeeds("connections", "get", name):
        return
    store = credentials()
    document = {
        "conn_type": "aws",
        "login": store["aws_access_key_id"],
        "password": store["aws_secret_access_key"],
        "extra": {"endpoint_url": store["endpoint_url"], "region_name": "us-east-1"},
    }
    airflow("connections", "add", name, f"--conn-json={json.dumps(document)}")


def create_pool(name: str, slots: str) -> None:
    """The pool of local trials, unless somebody made it: its size may be changed in the UI."""
    if not succeeds("pools", "get", name):
        airflow("pools", "set", name, slots, POOL_HELP)


def succeeds(*arguments: str) -> bool:
    """Whether an `airflow` command succeeds."""
    try:
        airflow(*arguments)
    except SystemExit:
        return False
    return True


def airflow(*arguments: str) -> None:
    """An `airflow` command in this process: starting one takes longer than the work, and shows its arguments to others.

    Raises:
        SystemExit: it failed.
    """
    sys.argv = ["airflow", *arguments]
    try:
        airflow_command()
    except SystemExit as ended:
        if ended.code not in (None, 0):
            raise


if __name__ == "__main__":
    main()
