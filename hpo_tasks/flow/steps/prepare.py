"""Validate file, form and interval; check store, database and inputs; pin the result as the study's one spec.

Nothing is created before everything was found good.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from hpo_tasks.errors import ConflictError, IntegrityError, Problem, SpecError
from hpo_tasks.flow.repetition import check_rounds
from hpo_tasks.flow.settings import Deployment
from hpo_tasks.flow.steps.best import previous_best
from hpo_tasks.flow.steps.code import archive, copy_code
from hpo_tasks.flow.steps.connections import PasswordOf, check_secrets
from hpo_tasks.flow.steps.inputs import S3Client, fingerprint_inputs
from hpo_tasks.flow.steps.pin import Pin, pin
from hpo_tasks.spec import StudySpec, check_point, identity_digest, render_inputs, search_order
from hpo_tasks.store.base import Store
from hpo_tasks.study.identity import study_id
from hpo_tasks.study.ledger import Ledger
from hpo_tasks.study.records import StudyHeader
from hpo_tasks.trial.contract import Scalar

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """The DAG run that a study belongs to."""

    dag_id: str
    run_id: str
    epoch: int
    interval: tuple[datetime, datetime]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Site:
    """Where the study lives.

    Attributes:
        deployment, store, ledger: as opened by the task.
        s3: makes an S3 client for inputs.
        password_of: reads Airflow connections.
        base: folder that relative paths of the study file start at; None for a study from a form.
        max_rounds: rounds that the DAG has.
    """

    deployment: Deployment
    store: Store
    ledger: Ledger
    s3: S3Client
    password_of: PasswordOf
    base: Path | None
    max_rounds: int


def prepare(spec: StudySpec, run: RunIdentity, site: Site) -> Pin:
    """Check everything, then pin the study and create it in the ledger. Returns the pin that counts.

    Raises:
        InputError: what is wrong with the user's input; nothing was created.
        RefusedError: the store or database says no.
        UnavailableError: the store or database does not answer.
    """
    check_rounds(spec, site.max_rounds)
    check_secrets(spec.trial.secrets, site.password_of)
    inputs = render_inputs(
        spec,
        data_interval_start=run.interval[0],
        data_interval_end=run.interval[1],
        data_root=site.deployment.data_root,
    )
    fingerprints = fingerprint_inputs(inputs, site.s3)
    code = None if spec.trial.code is None else archive(_code_folder(spec.trial.code.dir, site.base))
    site.ledger.check()
    site.store.probe()
    study = study_id(site.deployment.name, run.dag_id, run.run_id, run.epoch)
    _check_store(site.ledger, study, site.store.uri)
    wanted = Pin(
        study=study, deployment=site.deployment.name, dag_id=run.dag_id, run_id=run.run_id, epoch=run.epoch,
        spec=spec, interval=(run.interval[0].isoformat(), run.interval[1].isoformat()), inputs=inputs,
        fingerprints=fingerprints, initial=_initial(spec, run.dag_id, site.store), max_rounds=site.max_rounds,
        code=None if code is None else copy_code(site.store, study, code), note=run.note,
    )  # fmt: skip
    pinned = pin(site.store, wanted)
    site.ledger.create(_header(pinned, site.store.uri))
    log.info(
        "study %s: %s, %d trials in batches of %d", study, spec.name, spec.budget.trials, spec.batch_size
    )
    return pinned


def _code_folder(named: str | None, base: Path | None) -> Path:
    folder = Path(named or "")
    if base is None and not folder.is_absolute():
        raise SpecError(
            [Problem("trial.code.dir", f"must be an absolute folder in a study from a form, got {named}")]
        )
    return folder if base is None else base / folder


def _initial(spec: StudySpec, dag_id: str, store: Store) -> tuple[Mapping[str, Scalar], ...]:
    """The configurations to try first; `previous_best` becomes what of it still fits the search space."""
    chosen: list[Mapping[str, Scalar]] = []
    for entry in spec.initial:
        if entry != "previous_best":
            chosen.append(entry)
        elif (params := previous_best(store, dag_id)) is not None:
            chosen.append(_fitting(spec, params))
        else:
            log.info("initial: no previous best yet")
    return tuple(point for point in chosen if point)


def _fitting(spec: StudySpec, params: Mapping[str, Any]) -> dict[str, Scalar]:
    kept: dict[str, Scalar] = {}
    for name in search_order(spec.search):  # parents before the parameters that depend on them
        if name in params and not check_point(spec, {**kept, name: params[name]}):
            kept[name] = params[name]
    if lost := sorted(set(params) - set(kept)):
        log.info("initial: the previous best's %s do not fit the search space any more", ", ".join(lost))
    return kept


def _check_store(ledger: Ledger, study: str, uri: str) -> None:
    """The study's outcomes lie in one store: another one under the same epoch would lose those of an open round."""
    try:
        known = ledger.study(study).header.store
    except IntegrityError:
        return  # there is no such study yet
    if known != uri:
        raise ConflictError(
            f"epoch: study {study} of this run keeps its outcomes in {known}, not in {uri}: "
            "trigger with another epoch, or change `store` back"
        )


def _header(pinned: Pin, store: str) -> StudyHeader:
    spec = pinned.spec
    return StudyHeader(
        study_id=pinned.study, name=spec.name, dag_id=pinned.dag_id, run_id=pinned.run_id, epoch=pinned.epoch,
        deployment=pinned.deployment, identity=identity_digest(spec), objectives=spec.objective,
        thresholds=spec.thresholds, interval=pinned.interval, store=store,
        cloud=None if spec.backend.type == "local" else spec.backend.model_dump(mode="json", by_alias=True),
    )  # fmt: skip
