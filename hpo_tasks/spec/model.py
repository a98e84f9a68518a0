"""The study file as frozen pydantic models. Field names are the file's keys, but for units: aliases below.

Types and bounds only. What else must hold is in `rules/`; the one way in is `hpo_tasks.spec.validate`.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator
from pydantic_core import PydanticCustomError

from hpo_tasks.spec.sentences import shown
from hpo_tasks.spec.units import duration_s, memory_bytes

MAX_BATCH_SIZE = 1000
MAX_CHOICES = 1000
MAX_PARAMETERS = 200
MAX_ROUNDS = 1000
"""As many as the object store's keys have digits for. An Airflow without task loops has fewer: `flow/repetition.py`."""
MAX_SEED = 2**32 - 1
MAX_TRIALS = 100_000

Scalar = str | int | float | bool | None


def same(first: Scalar, second: Scalar) -> bool:
    """Equality of scalars: 1 equals 1.0, but `true` equals neither 1 nor "true"."""
    return isinstance(first, bool) == isinstance(second, bool) and first == second


def _scalar(value: object) -> Scalar:
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise PydanticCustomError(
        "not_a_scalar", "must be text, a finite number, true, false or null, got {got}", {"got": shown(value)}
    )


def _condition(value: object) -> Scalar | list[Scalar]:
    return [_scalar(item) for item in value] if isinstance(value, list | tuple) else _scalar(value)


def _initial(value: object) -> Literal["previous_best"] | dict[str, Scalar]:
    if value == "previous_best":
        return "previous_best"
    if isinstance(value, Mapping):
        return {str(name): _scalar(item) for name, item in value.items()}
    raise PydanticCustomError(
        "not_a_point", "must be previous_best or a mapping of parameters, got {got}", {"got": shown(value)}
    )


def _one_or_several(value: object) -> object:
    return [value] if isinstance(value, Mapping | BaseModel) else value


def _store(value: object) -> object:
    return {"uri": value} if isinstance(value, str) else value


# Read whole by one function each: a union of types would answer a mistake with one complaint per type.
ScalarField = Annotated[Scalar, PlainValidator(_scalar)]
Condition = Annotated[Scalar | list[Scalar], PlainValidator(_condition)]
InitialPoint = Annotated[Literal["previous_best"] | dict[str, Scalar], PlainValidator(_initial)]
Duration = Annotated[float, BeforeValidator(duration_s)]
Memory = Annotated[int, BeforeValidator(memory_bytes)]
_LIST = Field(strict=False)  # YAML and JSON give lists where the frozen models keep tuples


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, populate_by_name=True, allow_inf_nan=False
    )


class Objective(_Model):
    metric: str
    direction: Literal["minimize", "maximize"]


class Threshold(_Model):
    """Outcome constraint on a metric: at least one of the two."""

    min: float | None = None
    max: float | None = None


class _Parameter(_Model):
    when: dict[str, Condition] | None = None


class FloatParameter(_Parameter):
    type: Literal["float"]
    low: float
    high: float
    log: bool = False
    step: float | None = None
    points: int | None = Field(default=None, ge=2, le=10_000)
    """Grid only: how many values, evenly spaced (on the log scale if log)."""


class IntParameter(_Parameter):
    type: Literal["int"]
    low: int
    high: int
    log: bool = False
    step: int = Field(default=1, ge=1)


class CategoricalParameter(_Parameter):
    type: Literal["categorical"]
    choices: Annotated[tuple[ScalarField, ...], Field(strict=False, min_length=1, max_length=MAX_CHOICES)]


class FixedParameter(_Parameter):
    type: Literal["fixed"]
    value: ScalarField


class UnreadParameter(_Parameter):
    """Stands in for a parameter whose own text is wrong, while the rest of the file is checked. Never in a spec."""

    type: Literal["unread"] = "unread"


Parameter = Annotated[
    FloatParameter | IntParameter | CategoricalParameter | FixedParameter, Field(discriminator="type")
]


class Optimizer(_Model):
    sampler: str = "tpe"  # random grid qmc tpe gp cmaes nsga2, or module:Class
    seed: int = Field(default=0, ge=0, le=MAX_SEED)
    options: dict[str, Any] = Field(default_factory=dict)


class Budget(_Model):
    trials: int = Field(ge=1, le=MAX_TRIALS)
    wall_clock_s: Duration | None = Field(default=None, alias="wall_clock")
    max_failed_share: float = Field(default=0.5, ge=0, le=1)


class MetricPattern(_Model):
    name: str
    regex: str


class SecretRef(_Model):
    connection: str


class Code(_Model):
    """Where the program comes from; exactly one of dir, git, archive."""

    dir: str | None = None
    git: str | None = None
    ref: str | None = None
    archive: str | None = None
    install: Annotated[tuple[str, ...] | None, _LIST] = None


class Resources(_Model):
    threads: int = Field(default=1, ge=-1, le=1024)  # -1: all processors of the slot
    gpus: int = Field(default=0, ge=0, le=64)
    memory_bytes: Memory | None = Field(default=None, alias="memory")


class Trial(_Model):
    """Exactly one of trainer, entry_point, command."""

    trainer: Literal["xgboost", "random_forest"] | None = None
    options: dict[str, Any] = Field(default_factory=dict)  # of the trainer
    entry_point: str | None = None
    command: Annotated[tuple[str, ...] | None, Field(strict=False, min_length=1, max_length=100)] = None
    metrics: Annotated[tuple[MetricPattern, ...], Field(strict=False, max_length=8)] = ()
    env: dict[str, str] = Field(default_factory=dict, max_length=100)
    secrets: dict[str, SecretRef] = Field(default_factory=dict, max_length=100)
    code: Code | None = None
    model_dir: str | None = None
    clean_model_dir: bool = False
    inputs: dict[str, str] = Field(default_factory=dict, max_length=100)
    preload: Annotated[tuple[str, ...], Field(strict=False, max_length=20)] = ()
    resources: Resources = Resources()
    timeout_s: Duration = Field(default=3600.0, alias="timeout")
    attempts: int = Field(default=3, ge=1, le=10)


class LocalBackend(_Model):
    type: Literal["local"]
    slots: int = Field(default=1, ge=1, le=256)


class BatchBackend(_Model):
    """AWS Batch: one job for each attempt."""

    type: Literal["batch"]
    slots: int = Field(default=1, ge=1, le=MAX_BATCH_SIZE)
    connection: str | None = (
        None  # Airflow connection of type aws; None: HPO_AWS_CONNECTION, else the environment's
    )
    region: str | None = None  # None: the connection's
    job_queue: str
    job_definition: str
    share_identifier: str | None = None
    scheduling_priority: int | None = Field(default=None, ge=0, le=9999)
    queue_timeout_s: Duration = Field(default=6 * 3600.0, alias="queue_timeout")
    """How long a job may wait for capacity."""


Backend = Annotated[LocalBackend | BatchBackend, Field(discriminator="type")]


class StoreRef(_Model):
    uri: str
    connection: str | None = None


class Keep(_Model):
    models: Literal["best", "all", "none"] = "best"
    days: int | None = Field(default=None, ge=1, le=36_500)


class StudySpec(_Model):
    name: str
    owner: str | None = None
    description: str | None = None
    tags: dict[str, str] = Field(default_factory=dict, max_length=40)
    schedule: str | None = None
    timezone: str = "UTC"
    start_date: str | None = None
    paused: bool = False
    catchup: bool = False
    max_active_runs: int = Field(default=1, ge=1, le=100)
    trials_per_task: int = Field(default=1, ge=1, le=1000)
    pool: str | None = None  # Airflow pool of the train tasks; None: HPO_LOCAL_POOL
    max_rounds: int | None = Field(default=None, ge=1, le=MAX_ROUNDS)  # see planned_max_rounds
    objective: Annotated[
        tuple[Objective, ...],
        Field(strict=False, min_length=1, max_length=10),
        BeforeValidator(_one_or_several),
    ]  # a single mapping in the file is a list of one
    thresholds: dict[str, Threshold] = Field(default_factory=dict, max_length=50)
    search: dict[str, Parameter] = Field(max_length=MAX_PARAMETERS)
    constraints: Annotated[tuple[str, ...], Field(strict=False, max_length=100)] = ()
    optimizer: Optimizer = Optimizer()
    batch_size: int = Field(default=1, ge=1, le=MAX_BATCH_SIZE)
    budget: Budget
    trial: Trial
    backend: Backend = LocalBackend(type="local")
    store: Annotated[StoreRef | None, BeforeValidator(_store)] = (
        None  # None: HPO_STORE (embedded: $HPO_HOME/store)
    )
    initial: Annotated[tuple[InitialPoint, ...], Field(strict=False, max_length=1000)] = ()
    keep: Keep = Keep()
