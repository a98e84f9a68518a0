from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from trials import Study

from hpo_tasks.backends.local import LocalBackend


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    study = Study(tmp_path)
    yield study
    study.end()


@pytest.fixture(params=[True, False], ids=["namespaces", "plain"])
def isolate(request: pytest.FixtureRequest) -> bool:
    """Whether jobs run in namespaces. What a backend promises holds both ways."""
    return request.param


@pytest.fixture
def make_backend(study: Study) -> Callable[..., LocalBackend]:
    """Another backend on the same store and state: what another process of this host would have."""

    def make(**options) -> LocalBackend:
        return LocalBackend(study.root, study.folder / "state", **options)

    return make


@pytest.fixture
def backend(make_backend: Callable[..., LocalBackend], isolate: bool) -> LocalBackend:
    return make_backend(isolate=isolate)
