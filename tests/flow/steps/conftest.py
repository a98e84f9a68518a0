"""A pinned study in a folder store, and a backend whose jobs end as a test says."""

from pathlib import Path

import pytest

from hpo_tasks.backends.base import JobStatus
from hpo_tasks.flow.settings import Deployment
from hpo_tasks.flow.steps.pin import Pin, pin
from hpo_tasks.flow.steps.run import OpenStudy
from hpo_tasks.spec import Trust, validate
from hpo_tasks.store import open_store

SPEC = {
    "name": "steps",
    "objective": {"metric": "loss", "direction": "minimize"},
    "search": {"x": {"type": "float", "low": 0.0, "high": 1.0}},
    "batch_size": 2,
    "budget": {"trials": 4},
    "trial": {"command": ["true"], "attempts": 3},
}


def spec_with(**changes):
    """The study of these tests with other fields."""
    return validate({**SPEC, **changes}, trust=Trust.FILE, source="test")


def pin_of(spec, **changes):
    """A pin that was not written yet."""
    fields = {
        "study": "study", "deployment": "test", "dag_id": "hpo_steps", "run_id": "run", "epoch": 0, "spec": spec,
        "interval": ("2026-03-01T00:00:00+00:00", "2026-03-02T00:00:00+00:00"), "inputs": {}, "fingerprints": {},
        "initial": (), "max_rounds": 8,
    }  # fmt: skip
    return Pin(**{**fields, **changes})


@pytest.fixture
def store(tmp_path):
    """A folder store."""
    (tmp_path / "store").mkdir()
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def deployment(tmp_path):
    """A deployment with a SQLite study database."""
    return Deployment("test", f"sqlite:///{tmp_path}/studies.db", None, tmp_path / "jobs", Path(tmp_path), ())


@pytest.fixture
def study(store, deployment):
    """A pinned study."""
    return OpenStudy(deployment, store, pin(store, pin_of(spec_with())))


class ScriptedBackend:
    """A backend at our own port: every submitted job does the next deed of the script.

    A deed gets the request; what it writes to the store is what the job left behind. It returns the job's end.
    """

    def __init__(self, *deeds):
        self.deeds = list(deeds)
        self.submitted = []
        self.stopped = []
        self.states = {}

    def submit(self, request):
        if request.job not in self.states:
            self.submitted.append(request)
            self.states[request.job] = self.deeds.pop(0)(request)

    def poll(self, jobs):
        return {job: self.states.get(job, JobStatus("unknown")) for job in jobs}

    def stop(self, job, *, grace_s):
        self.stopped.append(job)
        self.states[job] = JobStatus("ended")

    def log_tail(self, job):
        return ""
