"""Fixtures that tests of several packages share."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the modules beside this file, such as s3_server

from postgres_server import PostgresServer
from s3_server import S3Server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """A real S3 server over HTTP; `s3.new_bucket()` gives each test a bucket of its own."""
    server = S3Server()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL server; `postgres.create_database(name)` gives each test one of its own."""
    server = PostgresServer()
    try:
        yield server.start()
    finally:
        server.stop()
