"""The options of `hpo plan`: which machines to compare, and how long trials were measured to take.

machines:
  - {type: m5.24xlarge, slots: 8, threads: 12}
  - {type: m5.4xlarge, count: 2, slots: 2, threads: 8, market: spot}
measured:
  - {threads: 12, seconds: [310, 295, 420]}
  - {study: house_prices}
deadline: 6h
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from hpo_tasks.errors import Problem, SpecError
from hpo_tasks.spec import complaints
from hpo_tasks.spec.limits import MAX_BYTES, limit_problems
from hpo_tasks.spec.model import MAX_TRIALS, Duration
from hpo_tasks.spec.reader import read
from hpo_tasks.spec.sentences import shown
from hpo_tasks.spec.units import duration_s

MAX_CHOICES = 100
_SUFFIXES = (".yaml", ".yml", ".json")


def _duration_or_none_at_all(value: object) -> float:
    return 0.0 if value == 0 and not isinstance(value, bool) else duration_s(value)


DurationOrZero = Annotated[float, BeforeValidator(_duration_or_none_at_all)]
Seconds = Annotated[float, Field(gt=0, le=365 * 86_400)]


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, populate_by_name=True, allow_inf_nan=False
    )


class MachineChoice(_Model):
    """Machines to compare: `count` of them, each with `slots` trials at a time of `threads` threads."""

    type: str = Field(min_length=1, max_length=64)
    count: int = Field(default=1, ge=1, le=1000)
    slots: int = Field(default=1, ge=1, le=256)
    threads: int = Field(ge=1, le=1024)
    market: Literal["on_demand", "spot"] = "on_demand"


class Measured(_Model):
    """Durations of trials that ran with `threads` threads: a list, or those of an earlier study."""

    threads: int | None = Field(default=None, ge=1, le=1024)
    """None with `study`: as many as that study's file says."""
    machine: str | None = Field(default=None, min_length=1, max_length=64)
    """Holds for this machine type alone; None: for every type without measurements of its own."""
    seconds: Annotated[tuple[Seconds, ...], Field(strict=False, min_length=1, max_length=10_000)] | None = (
        None
    )
    study: str | None = None
    """As for `hpo status`."""


class PlanFile(_Model):
    """The whole file."""

    machines: Annotated[tuple[MachineChoice, ...], Field(strict=False, min_length=1, max_length=MAX_CHOICES)]
    measured: Annotated[tuple[Measured, ...], Field(strict=False, min_length=1, max_length=100)]
    region: str = "us-east-1"
    trials: int | None = Field(default=None, ge=1, le=MAX_TRIALS)
    """None: the study file's `budget.trials`."""
    deadline_s: Duration | None = Field(default=None, alias="deadline")
    """None: the study file's `budget.wall_clock`, if it has one."""
    round_overhead_s: DurationOrZero = Field(default=20.0, alias="round_overhead")
    """From the end of a round's last trial to the start of the next round's first."""
    startup_s: DurationOrZero = Field(default=120.0, alias="startup")
    """From the order of a machine to its first trial."""
    parallel_share: float | None = Field(default=None, ge=0, le=1)
    """Share of a trial's work that threads divide among them (Amdahl); for want of a second measured thread count."""


def load_plan(path: Path) -> PlanFile:
    """Read a plan file.

    Raises:
        SpecError: all problems of the file, each with its field.
    """
    if path.suffix not in _SUFFIXES:
        raise SpecError([Problem("", "a plan file ends in .yaml, .yml or .json")], source=path.name)
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SpecError([Problem("", f"cannot be read: {error.strerror}")], source=str(path)) from None
    data = read(text, format="json" if path.suffix == ".json" else "yaml", source=path.name)
    return parse_plan(data, source=path.name)


def parse_plan(data: Any, source: str = "") -> PlanFile:
    """Plain data → options of a plan; raises as `load_plan`."""
    if not isinstance(data, Mapping):
        problem = Problem("", f"must be a mapping of fields (key: value), got {shown(data)}")
        raise SpecError([problem], source=source)
    if too_large := limit_problems(data):
        raise SpecError(too_large, source=source)
    try:
        plan = PlanFile.model_validate(dict(data), by_alias=True, by_name=False)
    except ValidationError as error:
        raise SpecError(complaints.problems(error, PlanFile), source=source) from None
    if wrong := [*_measured_problems(plan), *_machine_problems(plan)]:
        raise SpecError(wrong, source=source)
    return plan


def _measured_problems(plan: PlanFile) -> Iterator[Problem]:
    for index, measured in enumerate(plan.measured):
        field = f"measured[{index}]"
        if (measured.seconds is None) == (measured.study is None):
            yield Problem(field, "needs either seconds (a list) or study, the name of an earlier one")
        elif measured.seconds is not None and measured.threads is None:
            yield Problem(f"{field}.threads", "missing: say with how many threads these trials ran")


def _machine_problems(plan: PlanFile) -> Iterator[Problem]:
    for index, choice in enumerate(plan.machines):
        if choice.type.startswith("ml.") and choice.slots > 1:
            yield Problem(
                f"machines[{index}].slots",
                f"must be 1 on SageMaker, where each trial is a job of its own, got {choice.slots}: "
                "count says how many run side by side",
            )
