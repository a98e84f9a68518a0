"""What the ledger says: plain values, without Optuna."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from hpo_tasks.spec.model import Objective, Scalar, Threshold
from hpo_tasks.trial.contract import OutcomeClass, params_sha256
from hpo_tasks.trial.layout import SlotKey

TrialState = Literal["waiting", "running", "complete", "pruned", "failed"]
StudyState = Literal["running", "complete", "stopped", "failed"]
Source = Literal["initial", "sampler", "grid"]

FINISHED: frozenset[TrialState] = frozenset({"complete", "pruned", "failed"})


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """One trial as the ledger holds it.

    Attributes:
        number: Optuna's trial number. Superseded trials leave gaps; the key is (round, slot).
        batch: how many trials ask meant to hand out in this round.
        state: the ledger tells `running` for every trial without an outcome; who knows the jobs may refine that to
            `waiting`.
        params: active parameters, fixed ones included.
        seed: of the user's program.
        source: where the configuration came from.
        values: objective → value; None unless complete or pruned with values.
        metrics: further metrics, thresholds among them.
        violations: threshold (`latency_ms.max`) → by how much it is missed; <= 0: kept. Empty without thresholds.
        cls, reason: the outcome's class and finer reason; None and "" while running.
        attempt, attempts: the attempt that decided the trial, and how many there were.
        asked_at, recorded_at: when ask created and tell finished it (UTC).
        started_at, ended_at, duration_s: of the deciding attempt, by its own clock.
        outcome_digest: SHA-256 of the outcome that was told, "" if the trial was closed without one.
        sampler_attrs: what the sampler keeps with the trial; only filled for ask.
    """

    number: int
    round: int
    slot: int
    state: TrialState
    params: Mapping[str, Scalar]
    seed: int
    batch: int = 1
    source: Source = "sampler"
    values: Mapping[str, float] | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    violations: Mapping[str, float] = field(default_factory=dict)
    cls: OutcomeClass | None = None
    reason: str = ""
    attempt: int = 0
    attempts: int = 0
    asked_at: datetime | None = None
    recorded_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_s: float | None = None
    exit_code: int | None = None
    peak_memory_bytes: int = 0
    provenance: Mapping[str, str] = field(default_factory=dict)
    outcome_digest: str = ""
    sampler_attrs: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def params_sha256(self) -> str:
        return params_sha256(self.params)

    @property
    def finished(self) -> bool:
        return self.state in FINISHED

    @property
    def feasible(self) -> bool:
        """Complete, and every threshold kept: may be the best."""
        return self.state == "complete" and all(excess <= 0 for excess in self.violations.values())


@dataclass(frozen=True, slots=True)
class StudyHeader:
    """What a study is, written once when it is created.

    Attributes:
        study_id: see `identity.study_id`.
        identity: digest of what may not change within the study (`spec.identity_digest`).
        interval: ISO 8601 start and end of the data interval, None if the run has none.
        store: URI of the object store that holds its objects.
        thresholds: metric → bounds, the outcome constraints.
        cloud: the study's `backend` if its trials are jobs on a cloud: where the reaper looks. None: they are local.
    """

    study_id: str
    name: str
    dag_id: str
    run_id: str
    epoch: int
    deployment: str
    identity: str
    objectives: tuple[Objective, ...]
    thresholds: Mapping[str, Threshold] = field(default_factory=dict)
    interval: tuple[str, str] | None = None
    store: str = ""
    cloud: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """A study as the ledger holds it.

    Attributes:
        header: what it is.
        state, reason: `running` until it is closed.
        created_at, ended_at: UTC; ended_at None while running.
        counts: trials by state; states without trials are left out.
        best_number, best_value: of the best feasible trial of a study with one objective, else None.
        exhausted: ask found fewer configurations than it was to: there are no others.
        openings: round → when ask opened it; more than one moment if it was cleared or retried.
    """

    header: StudyHeader
    state: StudyState
    reason: str
    created_at: datetime
    ended_at: datetime | None
    counts: Mapping[TrialState, int]
    best_number: int | None = None
    best_value: float | None = None
    exhausted: bool = False
    openings: Mapping[int, tuple[datetime, ...]] = field(default_factory=dict)

    @property
    def study_id(self) -> str:
        return self.header.study_id


@dataclass(frozen=True, slots=True)
class Asked:
    """One configuration that ask hands out, as it is stored."""

    number: int
    round: int
    slot: int
    params: Mapping[str, Scalar]
    seed: int


@dataclass(frozen=True, slots=True)
class TellReport:
    """What tell did with each outcome.

    Attributes:
        told: recorded now.
        already: the same outcome was recorded before.
        mismatched: another outcome is recorded; it stays.
        rejected: not acceptable, with the reason. Where the trial exists it is recorded as failed with class
            `user_error` (and is among `told` or `already` as well), so that the study goes on.
    """

    told: tuple[SlotKey, ...] = ()
    already: tuple[SlotKey, ...] = ()
    mismatched: tuple[SlotKey, ...] = ()
    rejected: tuple[tuple[SlotKey, str], ...] = ()
