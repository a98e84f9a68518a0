"""What the operators do around the steps, without Airflow's servers."""

import pytest

from hpo_tasks.errors import UnavailableError
from hpo_tasks.flow import tasks
from hpo_tasks.flow.operators import TrainOperator


@pytest.fixture
def train():
    work = {"study": "s", "store": "/nowhere", "connection": None, "slots": [3]}
    return TrainOperator(task_id="train", round_=0, work_=work)


def test_a_label_that_cannot_be_had_fails_no_task(train, monkeypatch):
    """Airflow renders it once more after the work: a store that is away then must not undo a finished trial."""

    def down(*_):
        raise UnavailableError("the store does not answer")

    monkeypatch.setattr(tasks, "slot_label", down)
    assert train.slot_label() == "slot 3"
    monkeypatch.setattr(tasks, "slot_label", lambda *_: "x=0.5")
    assert train.slot_label() == "x=0.5"
