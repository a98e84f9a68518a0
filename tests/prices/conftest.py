"""What the tests of prices share."""

import pytest
from price_server import PriceServer


@pytest.fixture
def price_server(monkeypatch):
    """AWS as `hpo prices update` sees it; boto3 clients of this process speak to it."""
    server = PriceServer()
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    yield server
    server.close()
