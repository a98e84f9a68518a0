"""moto with a network, for the tests that deploy."""

import pytest
from s3_server import S3Server

from tests.infra.emulator import Emulator, use_moto_template


@pytest.fixture(scope="session")
def emulator(s3: S3Server) -> Emulator:
    return Emulator(s3)


@pytest.fixture
def moto_body(monkeypatch: pytest.MonkeyPatch) -> None:
    """`hpo infra` deploys the template as moto takes it."""
    use_moto_template(monkeypatch)
