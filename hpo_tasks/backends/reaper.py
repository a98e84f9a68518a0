"""Which jobs on a cloud are alive without reason. A pure decision over what the cloud, the ledger and Airflow say."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hpo_tasks.trial.layout import AttemptKey, SlotKey

UNKNOWN_STUDY_S = 3600.0
"""A job of a study that the ledger does not know may run for so long: the database may have been put back to a backup."""


@dataclass(frozen=True, slots=True)
class LiveJob:
    """A job that its cloud has not ended.

    Attributes:
        name: ours: says study, round, slot and attempt.
        id: the cloud's.
        deployment: its tag `hpo:deployment`; None without one.
        created_at_s: seconds since the epoch.
        ends_at_s: its tag `hpo:ends`: after this nothing needs it; None without one.
    """

    name: str
    id: str
    deployment: str | None
    created_at_s: float
    ends_at_s: float | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What the rest of the system says.

    Attributes:
        deployment: ours.
        running: studies that are not closed, and whose DAG run exists.
        others: all other studies of the ledger.
        decided: trials that the ledger holds an outcome of.
    """

    deployment: str
    running: frozenset[str]
    others: frozenset[str]
    decided: frozenset[SlotKey]


def superfluous(jobs: Iterable[LiveJob], known: Known, *, now_s: float) -> Mapping[str, str]:
    """Job id → why nobody needs the job. Jobs of other deployments, and of other programs, are none of ours."""
    ours = [job for job in jobs if job.deployment == known.deployment and _key(job) is not None]
    newest: dict[SlotKey, int] = {}
    for job in ours:
        key = AttemptKey.of_job(job.name)
        newest[key.trial] = max(newest.get(key.trial, 0), key.number)
    found = {job.id: _why(job, AttemptKey.of_job(job.name), newest, known, now_s) for job in ours}
    return {job_id: why for job_id, why in found.items() if why}


def _why(job: LiveJob, key: AttemptKey, newest: Mapping[SlotKey, int], known: Known, now_s: float) -> str:
    study = key.trial.study
    if job.ends_at_s is not None and now_s > job.ends_at_s:
        return "it is past its end of life"
    if key.trial in known.decided:
        return "its trial is decided"
    if study in known.others:
        return "its study has ended, or its run is gone"
    if study not in known.running and now_s - job.created_at_s > UNKNOWN_STUDY_S:
        return "the ledger has no such study"
    if key.number < newest[key.trial]:
        return f"attempt {newest[key.trial]} runs"
    return ""


def _key(job: LiveJob) -> AttemptKey | None:
    try:
        return AttemptKey.of_job(job.name)
    except ValueError:
        return None
