"""How many trials train side by side on one host, whatever number of train tasks Airflow has started."""

import threading
from dataclasses import replace

import pytest
from trials import until

from hpo_tasks.errors import InputError
from hpo_tasks.flow.settings import host_slots, tasks_ahead
from hpo_tasks.flow.steps.local import slot_of_study
from tests.flow.steps.conftest import spec_with


def never() -> bool:
    return False


@pytest.fixture
def study_with(study):
    """A study of this host with so many slots."""

    def make(name: str, slots: int):
        spec = spec_with(backend={"type": "local", "slots": slots})
        return replace(study, pin=replace(study.pin, study=name, spec=spec))

    return make


class Trial(threading.Thread):
    """Wants a slot, and keeps it until told to go."""

    def __init__(self, study) -> None:
        super().__init__(daemon=True)
        self.study, self.trains, self.may_end = study, threading.Event(), threading.Event()
        self.start()

    def run(self) -> None:
        with slot_of_study(self.study, give_up=never):
            self.trains.set()
            self.may_end.wait(30)

    def end(self) -> None:
        self.may_end.set()
        self.join(30)


def training(trials) -> list[Trial]:
    return [trial for trial in trials if trial.trains.is_set()]


def test_a_study_trains_as_many_as_it_has_slots_and_the_next_when_one_ends(study_with, monkeypatch):
    monkeypatch.delenv("HPO_HOST_SLOTS", raising=False)
    study = study_with("a", 2)
    trials = [Trial(study) for _ in range(3)]
    until(lambda: len(training(trials)) == 2)
    first = training(trials)[0]
    first.end()
    until(lambda: len(training(trials)) == 3)
    for trial in trials:
        trial.end()


def test_the_hosts_slots_hold_for_all_studies_together(study_with, monkeypatch):
    monkeypatch.setenv("HPO_HOST_SLOTS", "1")
    first = Trial(study_with("a", 2))
    until(first.trains.is_set)
    second = Trial(study_with("b", 2))
    with slot_of_study(study_with("c", 1), give_up=lambda: True):  # it does not get one either, and may go on
        assert not second.trains.is_set()
    first.end()
    until(second.trains.is_set)
    second.end()


def test_a_task_that_is_told_to_stop_waits_no_longer(study_with, monkeypatch):
    monkeypatch.delenv("HPO_HOST_SLOTS", raising=False)
    study = study_with("a", 1)
    holder = Trial(study)
    until(holder.trains.is_set)
    asked = []

    def give_up() -> bool:
        asked.append(True)
        return len(asked) > 2

    with slot_of_study(study, give_up=give_up):
        assert len(asked) == 3
    holder.end()


def test_without_settings_there_is_no_cap_and_nothing_ahead(monkeypatch):
    for name in ("HPO_HOST_SLOTS", "HPO_TASKS_AHEAD"):
        monkeypatch.delenv(name, raising=False)
    assert (host_slots(), tasks_ahead()) == (None, 0)


@pytest.mark.parametrize("text", ["two", "-1", "1.5"])
def test_what_is_no_number_is_refused_by_name(text, monkeypatch):
    monkeypatch.setenv("HPO_HOST_SLOTS", text)
    with pytest.raises(InputError, match="HPO_HOST_SLOTS"):
        host_slots()
