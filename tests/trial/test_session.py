"""The session, used by a program that was started as a command."""

import sys

import pytest

from hpo_tasks.trial.session import Session

PROGRAM = """
from hpo_tasks.trial.session import Session
session = Session.from_environment()
assert session.params == {"lr": 0.5, "kind": "x"}, session.params
assert (session.seed, session.threads, session.inputs) == (7, 2, {"train": "/x"})
session.report(1, loss=session.params["lr"])
"""


def test_a_command_can_use_it_too(study):
    study.program("train.py", PROGRAM)
    outcome = study.run(
        [sys.executable, "train.py"], params={"lr": 0.5, "kind": "x"}, threads=2, inputs={"train": "/x"}
    )
    assert (outcome.reason, outcome.values) == ("", {"loss": 0.5})


def test_outside_of_a_trial_it_says_so():
    with pytest.raises(RuntimeError, match="HPO_PARAMS is not set: this is not a process of a trial"):
        Session.from_environment({})


@pytest.fixture
def session(tmp_path):
    return Session({}, {}, 0, 1, tmp_path, tmp_path, _metrics=tmp_path / "metrics", _stop=tmp_path / "stop")


def test_numbers_of_any_library_are_reported(session, tmp_path):
    import numpy as np

    session.report(np.int64(3), a=np.float32(0.5), b=np.array(2.0), c=np.int64(4))
    session.record({"any name": 1})
    assert (
        tmp_path / "metrics"
    ).read_text() == '{"step": 3, "a": 0.5, "b": 2.0, "c": 4.0}\n{"any name": 1}\n'


def test_what_is_no_number_is_refused_where_it_is_reported(session, tmp_path):
    with pytest.raises(TypeError, match="metric loss: must be a number, got list"):
        session.report(1, loss=[1, 2])
    assert not (tmp_path / "metrics").exists()


def test_the_stop_file_is_the_stop_request(session, tmp_path):
    assert not session.should_stop()
    (tmp_path / "stop").touch()
    assert session.should_stop()
