"""Both databases for every test that asks for `url`."""

import importlib.util
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the modules beside this file, such as cases


# PyTorch is an extra of some GB: without it there is nothing to test here (`make test-gp` installs it).
collect_ignore = [] if importlib.util.find_spec("torch") else ["test_gp.py"]


def pytest_configure(config):
    config.addinivalue_line("markers", "gp: needs PyTorch, see `make test-gp`")


@pytest.fixture(scope="session")
def _postgres_url(postgres):
    return postgres.create_database("study")


@pytest.fixture
def postgres_url(postgres, _postgres_url):
    """An empty PostgreSQL database; emptied rather than created, which costs files and time."""
    postgres.empty(_postgres_url)
    return _postgres_url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request):
    """URL of an empty study database."""
    return request.getfixturevalue("file_url" if request.param == "sqlite" else "postgres_url")


@pytest.fixture
def file_url(tmp_path):
    """URL of an empty SQLite study database."""
    return f"sqlite:///{tmp_path}/study.db"
