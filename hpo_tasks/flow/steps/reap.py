"""Reap: end the jobs on clouds that nobody needs."""

import json
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from hpo_tasks.backends import batch
from hpo_tasks.backends.reaper import Known, LiveJob, superfluous
from hpo_tasks.errors import HpoError, UnavailableError
from hpo_tasks.flow.aws import backend_client
from hpo_tasks.study.ledger import Ledger
from hpo_tasks.study.records import StudyRecord
from hpo_tasks.trial.layout import SlotKey

LOOKED_AFTER_S = 15 * 86_400.0
"""For how long after a study's end its clouds are looked after: no job lives longer."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reaped:
    """A job that is alive without reason.

    Attributes:
        job, id: its name, and the cloud's id of it.
        age_s: since it was submitted.
        why: in a few words.
        error: why it could not be ended; "" if it was, or was not to be.
    """

    job: str
    id: str
    age_s: float
    why: str
    error: str = ""


def reap(
    ledger: Ledger, deployment: str, run_is_over: Callable[[StudyRecord], bool], *, dry_run: bool
) -> list[Reaped]:
    """Find the jobs of this deployment that nobody needs, and end them.

    Args:
        ledger: knows the studies, and the clouds that they train on.
        deployment: ours.
        run_is_over: whether the DAG run of a study is over or gone.
        dry_run: only find them.

    Raises:
        UnavailableError: the study database or a cloud does not answer; what could be ended is.
    """
    now_s = time.time()
    studies = [record for record in ledger.studies() if _may_have_jobs(record, now_s)]
    known = _known(ledger, deployment, studies, run_is_over)
    found: list[Reaped] = []
    silent: list[HpoError] = []
    for cloud in _clouds(studies):
        try:
            client = backend_client(cloud["type"], cloud.get("connection"), cloud.get("region"))
            jobs = {job.id: job for job in batch.live_jobs(client, cloud["job_queue"])}
        except (
            HpoError
        ) as error:  # a queue that was deleted, for example: the others are to be looked at all the same
            log.warning("queue %s is not looked at: %s", cloud["job_queue"], error)
            silent.append(error)
            continue
        log.info("queue %s: %d jobs of ours are alive", cloud["job_queue"], len(jobs))
        for job_id, why in superfluous(jobs.values(), known, now_s=now_s).items():
            found.append(_end(client, jobs[job_id], why, now_s, dry_run=dry_run))
    if silent and all(isinstance(error, UnavailableError) for error in silent):
        raise silent[0]
    return found


def _known(
    ledger: Ledger,
    deployment: str,
    studies: Iterable[StudyRecord],
    run_is_over: Callable[[StudyRecord], bool],
) -> Known:
    # By the run, not by the study's state: somebody may be resuming a study that was closed.
    running = {record.header.study_id for record in studies if not run_is_over(record)}
    decided = {
        SlotKey(study, trial.round, trial.slot)
        for study in running
        for trial in ledger.trials(study)
        if trial.outcome_digest
    }
    others = {record.header.study_id for record in studies} - running
    return Known(deployment, frozenset(running), frozenset(others), frozenset(decided))


def _may_have_jobs(record: StudyRecord, now_s: float) -> bool:
    last_s = (record.ended_at or record.created_at).timestamp() if record.state != "running" else now_s
    return record.header.cloud is not None and now_s - last_s < LOOKED_AFTER_S


def _clouds(studies: Iterable[StudyRecord]) -> list[dict[str, Any]]:
    """Where jobs may be alive, each place once."""
    places: dict[str, dict[str, Any]] = {}
    for record in studies:
        cloud = record.header.cloud or {}
        place = {name: cloud.get(name) for name in ("type", "connection", "region", "job_queue")}
        places[json.dumps(place, sort_keys=True)] = place
    return list(places.values())


def _end(client: Any, job: LiveJob, why: str, now_s: float, *, dry_run: bool) -> Reaped:
    error = ""
    if not dry_run:
        try:
            batch.terminate(client, job.id, f"reaped: {why}")
        except HpoError as refused:  # the others are to be ended all the same
            error = str(refused)
    reaped = Reaped(job.name, job.id, now_s - job.created_at_s, why, error)
    verb = "could not be ended" if error else "would be ended" if dry_run else "is ended"
    log.warning("job %s (%s), %.0f s old, %s: %s %s", job.name, job.id, reaped.age_s, verb, why, error)
    return reaped
