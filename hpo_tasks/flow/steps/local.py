"""A trial on this host: the local backend over the folder store, or over a staging folder when the store is S3."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hpo_tasks.backends.local import LocalBackend
from hpo_tasks.flow.steps.batch import RoundBatch
from hpo_tasks.flow.steps.inputs import bring_inputs
from hpo_tasks.flow.steps.run import OpenStudy
from hpo_tasks.flow.steps.staging import Staging
from hpo_tasks.flow.steps.train import TrialRun
from hpo_tasks.store import Store, open_store


def open_trial(study: OpenStudy, batch: RoundBatch, slot: int, s3: Callable[[], Any]) -> TrialRun:
    """The trial at (round, slot), ready to be trained on this host."""
    deployment, pin = study.deployment, study.pin
    remote = study.store.uri.startswith("s3://")
    local = _staging_store(deployment.state_dir) if remote else study.store
    return TrialRun(
        study=study,
        batch=batch,
        slot=slot,
        backend=LocalBackend(root=local.uri, state_dir=deployment.state_dir, hide=deployment.hide),
        inputs=bring_inputs(pin.inputs, pin.fingerprints, deployment.state_dir / "inputs", s3),
        threads=threads_of_slot(
            pin.spec.trial.resources.threads, pin.spec.backend.slots, os.cpu_count() or 1
        ),
        staging=Staging(study.store, local) if remote else None,
    )


def _staging_store(state_dir: Path) -> Store:
    folder = state_dir / "staging"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return open_store(str(folder))


def threads_of_slot(threads: int, slots: int, cores: int) -> int:
    """Threads of one trial; -1 means its slot's share of the cores, at least one."""
    return threads if threads > 0 else max(1, cores // slots)
