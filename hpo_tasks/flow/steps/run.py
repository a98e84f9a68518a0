"""What every step knows about the DAG run it works for, and what one run's tasks hand on."""

from dataclasses import dataclass
from typing import TypedDict

from hpo_tasks.errors import IntegrityError
from hpo_tasks.flow.settings import Deployment
from hpo_tasks.flow.steps.pin import Pin, read_pin
from hpo_tasks.store.base import Store

ADHOC_DAG_ID = "hpo_adhoc"
"""The DAG that takes any study in its form: its runs have nothing to do with one another."""


class StudyHandle(TypedDict):
    """XCom of `prepare`: where the study lies. Small, no secrets, no parameters."""

    study: str
    store: str
    connection: str | None


class TrainWork(StudyHandle):
    """What `ask` hands to one train task: where the study lies, the round, and which of its slots are its own.

    The whole handle again, so that a train task has to ask Airflow for one thing only.
    """

    round: int
    slots: list[int]


@dataclass(frozen=True, slots=True)
class OpenStudy:
    """A pinned study with its store opened: what ask, train, tell and conclude work on."""

    deployment: Deployment
    store: Store
    pin: Pin


def open_study(deployment: Deployment, store: Store, study: str) -> OpenStudy:
    """Read the study's pin.

    Raises:
        IntegrityError: the study was never pinned in this store.
    """
    found = read_pin(store, study)
    if found is None:
        raise IntegrityError(
            f"study {study}: no pinned spec in {store.uri}; clear `prepare` and everything after it"
        )
    return OpenStudy(deployment, store, found)
