"""Where every object of a study lies, relative to the store's root. The only file that spells keys.

studies/<study>/spec/<nnn>.json          the pinned spec; a later number amends budget, slots, texts
studies/<study>/stop.json                asks every running trial to stop
studies/<study>/<round>/batch.json       the configurations that ask handed out
studies/<study>/<round>/<slot>/outcome.json            the commit marker of the trial, created once
studies/<study>/<round>/<slot>/stop.json               asks this trial to stop
studies/<study>/<round>/<slot>/checkpoint/a<N>/…       what attempt N left for the next one
studies/<study>/<round>/<slot>/checkpoint/a<N>.json    its list of files, written last: without it there is none
studies/<study>/<round>/<slot>/a<N>/request.json       what attempt N is to do
studies/<study>/<round>/<slot>/a<N>/host.json          created once: from where attempt N was launched, if that matters
studies/<study>/<round>/<slot>/a<N>/started.json       created once by the job that runs attempt N
studies/<study>/<round>/<slot>/a<N>/report.json        how attempt N ended, when it did not commit the trial
studies/<study>/<round>/<slot>/a<N>/log.txt, reports.jsonl, model/…
studies/<study>/best/…                   the best model; summary.json and report.html beside it
best/<dag_id>.json                       pointer to the best of the newest data interval
handles/<study>/<job>.json               what a cloud calls the job; not below studies/, where jobs may write
"""

import re
from dataclasses import dataclass


def study_prefix(study: str) -> str:
    """Prefix of everything that belongs to a study, with a trailing slash."""
    return f"studies/{study}/"


def spec_key(study: str, revision: int) -> str:
    return f"{study_prefix(study)}spec/{revision:03d}.json"


def study_stop_key(study: str) -> str:
    return f"{study_prefix(study)}stop.json"


def batch_key(study: str, round_: int) -> str:
    return f"{study_prefix(study)}{round_:03d}/batch.json"


def best_prefix(study: str) -> str:
    return f"{study_prefix(study)}best/"


def summary_key(study: str) -> str:
    return f"{study_prefix(study)}summary.json"


def announced_key(study: str) -> str:
    """Which best was announced as an Asset event."""
    return f"{study_prefix(study)}announced.json"


def code_key(study: str) -> str:
    """The archive of `trial.code.dir`, copied once per study."""
    return f"{study_prefix(study)}code.tar.gz"


def best_pointer_key(dag_id: str) -> str:
    return f"best/{dag_id}.json"


def handle_key(job: str) -> str:
    """Where the handle of a job lies: what its backend calls it.

    Raises:
        ValueError: it is not the name of one of our jobs.
    """
    return f"handles/{AttemptKey.of_job(job).trial.study}/{job}.json"


@dataclass(frozen=True, slots=True, order=True)
class SlotKey:
    """Key of a trial: (round, slot) within a study. `str()` is its prefix, with a trailing slash."""

    study: str
    round: int
    slot: int

    def __str__(self) -> str:
        return f"{study_prefix(self.study)}{self.round:03d}/{self.slot:04d}/"

    @property
    def outcome(self) -> str:
        return f"{self}outcome.json"

    @property
    def stop(self) -> str:
        return f"{self}stop.json"

    @property
    def checkpoint(self) -> str:
        return f"{self}checkpoint/"

    def attempt(self, number: int) -> "AttemptKey":
        return AttemptKey(self, number)


@dataclass(frozen=True, slots=True, order=True)
class AttemptKey:
    """Key of one job launched for a trial; attempts count from 1. `str()` is its prefix."""

    trial: SlotKey
    number: int

    def __str__(self) -> str:
        return f"{self.trial}a{self.number}/"

    @property
    def request(self) -> str:
        return f"{self}request.json"

    @property
    def host(self) -> str:
        return f"{self}host.json"

    @property
    def started(self) -> str:
        return f"{self}started.json"

    @property
    def report(self) -> str:
        return f"{self}report.json"

    @property
    def log(self) -> str:
        return f"{self}log.txt"

    @property
    def reports(self) -> str:
        return f"{self}reports.jsonl"

    @property
    def model(self) -> str:
        return f"{self}model/"

    @property
    def checkpoint(self) -> str:
        return f"{self.trial.checkpoint}a{self.number}/"

    @property
    def checkpoint_list(self) -> str:
        return f"{self.trial.checkpoint}a{self.number}.json"

    @property
    def job_name(self) -> str:
        """Deterministic job name (at most 45 characters of [a-z0-9-]), legal on every backend."""
        return f"hpo-{self.trial.study}-{self.trial.round}-{self.trial.slot}-{self.number}"

    @classmethod
    def of_job(cls, job_name: str) -> "AttemptKey":
        """The attempt that a job name stands for.

        Raises:
            ValueError: it is not one of ours.
        """
        match = _JOB.fullmatch(job_name)
        if match is None:
            raise ValueError(f"{job_name!r} is not the name of a job")
        return cls(SlotKey(match[1], int(match[2]), int(match[3])), int(match[4]))

    @classmethod
    def of_request(cls, key: str) -> "AttemptKey":
        """The attempt whose request lies at a key.

        Raises:
            ValueError: no request lies there.
        """
        match = _REQUEST.fullmatch(key)
        if match is None:
            raise ValueError(f"{key!r} is not the key of a request")
        return cls(SlotKey(match[1], int(match[2]), int(match[3])), int(match[4]))


_JOB = re.compile(r"hpo-([A-Za-z0-9_-]+)-(0|[1-9]\d*)-(0|[1-9]\d*)-([1-9]\d*)")
_REQUEST = re.compile(r"studies/([^/]+)/(\d{3,})/(\d{4,})/a([1-9]\d*)/request\.json")
