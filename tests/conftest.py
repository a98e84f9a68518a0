"""Fixtures that tests of several packages share."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the modules beside this file, such as s3_server

from aws_double.double import AwsDouble
from fault_proxy import FaultProxy
from postgres_server import PostgresServer
from s3_server import S3Server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """A real S3 server over HTTP; `s3.new_bucket()` gives each test a bucket of its own."""
    server = S3Server()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def aws_server() -> Iterator[AwsDouble]:
    """AWS in one process; tests take `aws`."""
    server = AwsDouble()
    yield server
    server.kill()


@pytest.fixture
def aws(aws_server: AwsDouble) -> Iterator[AwsDouble]:
    """An empty AWS that really runs what is submitted to it; nothing of it goes on after the test."""
    aws_server.reset()
    yield aws_server
    aws_server.stop_everything()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL server; `postgres.create_database(name)` gives each test one of its own."""
    server = PostgresServer()
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="session")
def s3_proxy(s3: S3Server) -> Iterator[FaultProxy]:
    """A proxy before `s3`; tests take `proxy`."""
    proxy = FaultProxy(s3.endpoint)
    yield proxy
    proxy.close()


@pytest.fixture
def proxy(s3_proxy: FaultProxy) -> Iterator[FaultProxy]:
    """A proxy before `s3` that fails as the test tells it to."""
    s3_proxy.reset()
    yield s3_proxy
    s3_proxy.reset()
