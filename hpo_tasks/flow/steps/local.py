"""A trial on this host: the local backend over the folder store, or over a staging folder when the store is S3."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hpo_tasks.backends import host_shares
from hpo_tasks.backends.local import LocalBackend
from hpo_tasks.flow.settings import host_slots
from hpo_tasks.flow.steps.batch import RoundBatch
from hpo_tasks.flow.steps.connections import PasswordOf, read_secrets
from hpo_tasks.flow.steps.inputs import bring_inputs
from hpo_tasks.flow.steps.run import OpenStudy
from hpo_tasks.flow.steps.staging import Staging
from hpo_tasks.flow.steps.train import TrialRun
from hpo_tasks.store import Store, open_store
from hpo_tasks.trial.layout import study_prefix
from hpo_tasks.trial.local_files import plain_errors
from hpo_tasks.trial.workspace import remove_tree

log = logging.getLogger(__name__)

SLOT_POLL_S = 0.02
UNUSED_INPUT_S = 14 * 86_400


def open_trial(
    study: OpenStudy, batch: RoundBatch, slot: int, s3: Callable[[], Any], password_of: PasswordOf
) -> TrialRun:
    """The trial at (round, slot), ready to be trained on this host. Connections are read when its job is started."""
    deployment, pin = study.deployment, study.pin
    local = _local_store(study)
    return TrialRun(
        study=study,
        batch=batch,
        slot=slot,
        backend=LocalBackend(
            root=local.uri,
            state_dir=deployment.state_dir,
            hide=deployment.hide,
            secrets=lambda names: read_secrets(pin.spec.trial.secrets, names, password_of),
        ),
        inputs=pin.inputs,
        bring=lambda inputs: bring_inputs(inputs, pin.fingerprints, deployment.state_dir / "inputs", s3),
        threads=threads_of_slot(
            pin.spec.trial.resources.threads, pin.spec.backend.slots, os.cpu_count() or 1
        ),
        staging=Staging(study.store, local) if local is not study.store else None,
    )


def tidy(study: OpenStudy) -> None:
    """Remove what the concluded study left in this host's state folder, and inputs that nobody used for two weeks."""
    state, name = study.deployment.state_dir, study.pin.study
    jobs = [folder.name for folder in (state / "jobs").glob(f"hpo-{name}-*")]
    LocalBackend(root=_local_store(study).uri, state_dir=state).poll(
        jobs
    )  # it removes what it has of ended jobs
    leftovers = [state / "slots" / name, state / "staging" / study_prefix(name)]
    unused_since = time.time() - UNUSED_INPUT_S
    leftovers += [folder for folder in (state / "inputs").glob("*") if folder.stat().st_mtime < unused_since]
    for folder in leftovers:
        remove_tree(folder)


def _local_store(study: OpenStudy) -> Store:
    """The store itself if it is a folder, else the folder on this host that stands in for it."""
    if not study.store.uri.startswith("s3://"):
        return study.store
    folder = study.deployment.state_dir / "staging"
    with plain_errors(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return open_store(str(folder))


@contextmanager
def slot_of_study(study: OpenStudy, *, give_up: Callable[[], bool]) -> Iterator[None]:
    """Hold one of the study's `backend.slots` on this host, and one of the host's, while a task trains.

    Airflow may have started more train tasks: `hpo_adhoc` is one DAG for studies with any number of slots, and tasks
    that wait here have their start behind them when a slot gets free. In this order for everybody, so that whoever has
    both goes on, and nobody waits for ever.
    """
    slots = study.deployment.state_dir / "slots"
    with (
        _slot(slots / study.pin.study, study.pin.spec.backend.slots, give_up),
        _slot(slots / "host", host_slots(), give_up),
    ):
        yield


@contextmanager
def _slot(folder: Path, count: int | None, give_up: Callable[[], bool]) -> Iterator[None]:
    """Hold one of `count` locks in the folder; None: there is nothing to wait for."""
    if count is None:
        yield
        return
    names = [str(number) for number in range(count)]
    with plain_errors(folder):
        share = host_shares.take(folder, names, 1)
        if share is None:
            log.info("waiting: %d trials are running, as many as may", count)
        while share is None and not give_up():
            time.sleep(SLOT_POLL_S)
            share = host_shares.take(folder, names, 1)
    try:
        yield
    finally:
        if share is not None:
            share.close()


def threads_of_slot(threads: int, slots: int, cores: int) -> int:
    """Threads of one trial; -1 means its slot's share of the cores, at least one."""
    return threads if threads > 0 else max(1, cores // slots)
