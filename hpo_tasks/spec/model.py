"""The study file as frozen pydantic models. Field names are the file's keys, but for units: aliases below."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Scalar = str | int | float | bool | None


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)


class Objective(_Model):
    metric: str
    direction: Literal["minimize", "maximize"]


class Threshold(_Model):
    """Outcome constraint on a metric: at least one of the two."""

    min: float | None = None
    max: float | None = None


class _Parameter(_Model):
    when: dict[str, Scalar | list[Scalar]] | None = None


class FloatParameter(_Parameter):
    type: Literal["float"]
    low: float
    high: float
    log: bool = False
    step: float | None = None
    points: int | None = None  # grid only: how many values, evenly spaced (on the log scale if log)


class IntParameter(_Parameter):
    type: Literal["int"]
    low: int
    high: int
    log: bool = False
    step: int = 1


class CategoricalParameter(_Parameter):
    type: Literal["categorical"]
    choices: tuple[Scalar, ...]


class FixedParameter(_Parameter):
    type: Literal["fixed"]
    value: Scalar


Parameter = Annotated[
    FloatParameter | IntParameter | CategoricalParameter | FixedParameter, Field(discriminator="type")
]


class Optimizer(_Model):
    sampler: str = "tpe"  # random grid qmc tpe gp cmaes nsga2, or module:Class
    seed: int = 0
    options: dict[str, Any] = Field(default_factory=dict)


class Budget(_Model):
    trials: int
    wall_clock_s: float | None = Field(default=None, alias="wall_clock")
    max_failed_share: float = 0.5


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
    install: tuple[str, ...] | None = None


class Resources(_Model):
    threads: int = 1  # -1: all processors of the slot
    gpus: int = 0
    memory_bytes: int | None = Field(default=None, alias="memory")


class Trial(_Model):
    """Exactly one of trainer, entry_point, command."""

    trainer: Literal["xgboost", "random_forest"] | None = None
    options: dict[str, Any] = Field(default_factory=dict)  # of the trainer
    entry_point: str | None = None
    command: tuple[str, ...] | None = None
    metrics: tuple[MetricPattern, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)
    secrets: dict[str, SecretRef] = Field(default_factory=dict)
    code: Code | None = None
    model_dir: str | None = None
    clean_model_dir: bool = False
    inputs: dict[str, str] = Field(default_factory=dict)
    resources: Resources = Resources()
    timeout_s: float = Field(default=3600.0, alias="timeout")
    attempts: int = 3


class LocalBackend(_Model):
    type: Literal["local"]
    slots: int = 1


class StoreRef(_Model):
    uri: str
    connection: str | None = None


class Keep(_Model):
    models: Literal["best", "all", "none"] = "best"
    days: int | None = None


class StudySpec(_Model):
    name: str
    owner: str | None = None
    description: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    schedule: str | None = None
    timezone: str = "UTC"
    start_date: str | None = None
    paused: bool = False
    catchup: bool = False
    max_active_runs: int = 1
    max_rounds: int | None = None  # see planned_max_rounds
    objective: tuple[Objective, ...]  # a single mapping in the file is a list of one
    thresholds: dict[str, Threshold] = Field(default_factory=dict)
    search: dict[str, Parameter]
    constraints: tuple[str, ...] = ()
    optimizer: Optimizer = Optimizer()
    batch_size: int = 1
    budget: Budget
    trial: Trial
    backend: LocalBackend = LocalBackend(type="local")
    store: StoreRef | None = None  # None: HPO_STORE (embedded: $HPO_HOME/store)
    initial: tuple[Literal["previous_best"] | dict[str, Scalar], ...] = ()
    keep: Keep = Keep()
