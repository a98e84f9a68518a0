"""Both databases for every test that asks for `url`."""

import itertools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the modules beside this file, such as cases

names = itertools.count()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """URL of an empty study database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/study.db"
    return request.getfixturevalue("postgres").create_database(f"study_{next(names)}")


@pytest.fixture
def file_url(tmp_path):
    """URL of an empty SQLite study database."""
    return f"sqlite:///{tmp_path}/study.db"
