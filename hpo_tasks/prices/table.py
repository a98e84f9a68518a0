"""The price table: what a machine type offers and what it costs in USD per hour.

`prices.json` beside this module ships with the project. A file of the user's own (`HPO_PRICES`, or what `hpo prices
update` wrote) is laid over it: what it names replaces the shipped figure, all else stays.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from hpo_tasks.errors import Problem, SpecError
from hpo_tasks.spec import complaints
from hpo_tasks.spec.limits import MAX_BYTES, limit_problems
from hpo_tasks.spec.reader import read
from hpo_tasks.spec.sentences import shown

SHIPPED = Path(__file__).with_name("prices.json")
SAGEMAKER = "ml."
"""What SageMaker's machine types begin with; the rest is the EC2 type."""
MAX_USD_PER_HOUR = 100_000

Market = Literal["on_demand", "spot"]
Origin = Literal["unverified", "aws", "own"]
"""Where a figure comes from. `unverified`: shipped, nobody compared it with AWS; `aws`: the Pricing API or the spot
history; `own`: the user's, e.g. after a discount."""


def _decimal(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def _usd(value: object) -> Decimal:
    found = _decimal(value)
    if found is None or not 0 < found <= MAX_USD_PER_HOUR:
        raise PydanticCustomError(
            "usd", "must be US dollars per hour, more than 0, such as 0.096; got {got}", {"got": shown(value)}
        )
    return found


def _share(value: object) -> Decimal:
    found = _decimal(value)
    if found is None or not 0 < found <= 1:
        raise PydanticCustomError(
            "share", "must be a share, more than 0 and at most 1, got {got}", {"got": shown(value)}
        )
    return found


def _amount(value: object) -> Decimal:
    found = _decimal(value)
    if found is None or found <= 0:
        raise PydanticCustomError("amount", "must be a number above 0, got {got}", {"got": shown(value)})
    return found


def _day(value: object) -> date:
    if isinstance(value, date):
        return value
    if isinstance(value, str):
        with suppress(ValueError):
            return date.fromisoformat(value)
    raise PydanticCustomError("day", "must be a date such as 2026-01-31, got {got}", {"got": shown(value)})


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)


class Figure(_Model):
    """One price."""

    usd_per_hour: Annotated[Decimal, BeforeValidator(_usd)] = Field(alias="usd")
    as_of: Annotated[date, BeforeValidator(_day)]
    source: Origin = "own"


class MachineSpec(_Model):
    """What a machine type offers, in whole machines."""

    vcpus: int = Field(ge=1, le=10_000)
    memory_gib: Annotated[Decimal, BeforeValidator(_amount)]
    gpus: int = Field(default=0, ge=0, le=1000)
    spot_share: Annotated[Decimal, BeforeValidator(_share)] | None = None
    """Typical spot price as a share of the on-demand price, for want of a spot price."""


class MachinePrices(_Model):
    """The prices of a machine type in a region. SageMaker has no `spot`: it bills fewer seconds instead."""

    on_demand: Figure | None = None
    spot: Figure | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """What an hour of a machine costs.

    Attributes:
        usd_per_hour: exact.
        as_of: day of the figure.
        verified: comes from AWS or from the user. Never so for a spot price that is a typical share of on-demand.
    """

    usd_per_hour: Decimal
    as_of: date
    verified: bool


@dataclass(frozen=True, slots=True)
class NoPrice:
    """There is no price; `reason` is a sentence that says what to do."""

    reason: str


class PriceTable(_Model):
    """All machine types and prices.

    Attributes:
        machines: EC2 type → what it offers.
        prices: region → machine type (EC2's, or SageMaker's with `ml.`) → prices.
    """

    version: Literal[1] = Field(alias="schema")
    notes: Annotated[tuple[str, ...], Field(strict=False)] = ()
    machines: dict[str, MachineSpec] = Field(default_factory=dict)
    prices: dict[str, dict[str, MachinePrices]] = Field(default_factory=dict)

    def spec(self, machine_type: str) -> MachineSpec | None:
        """What a machine type offers; None if the table does not know it."""
        return self.machines.get(machine_type.removeprefix(SAGEMAKER))

    def price(self, machine_type: str, region: str, market: Market) -> Price | NoPrice:
        """The price of an hour, by spot or on demand."""
        known = self.prices.get(region, {}).get(machine_type, MachinePrices())
        if market == "on_demand" and known.on_demand is not None:
            return _price(known.on_demand)
        if market == "spot" and known.spot is not None:
            return _price(known.spot)
        spec = self.spec(machine_type)
        if market == "spot" and known.on_demand is not None and spec is not None and spec.spot_share:
            full = known.on_demand
            return Price(full.usd_per_hour * spec.spot_share, full.as_of, verified=False)
        kind = "spot price" if market == "spot" else "price"
        return NoPrice(
            f"no {kind} of {shown(machine_type)} in {shown(region)} is known: "
            "`hpo prices update` fetches it, or put it into the file that HPO_PRICES names"
        )

    def over(self, other: "PriceTable") -> "PriceTable":
        """This table laid over another one: what it names wins, one figure at a time."""
        prices = {region: dict(types) for region, types in other.prices.items()}
        for region, types in self.prices.items():
            below = prices.setdefault(region, {})
            for name, mine in types.items():
                theirs = below.get(name, MachinePrices())
                below[name] = MachinePrices(
                    on_demand=mine.on_demand or theirs.on_demand, spot=mine.spot or theirs.spot
                )
        return PriceTable(
            version=1, notes=self.notes or other.notes, machines={**other.machines, **self.machines}, prices=prices
        )  # fmt: skip

    def of_source(self, source: Origin) -> "PriceTable":
        """Only the figures of one origin."""
        prices = {
            region: {name: _of_source(known, source) for name, known in types.items()}
            for region, types in self.prices.items()
        }
        return PriceTable(version=1, prices=prices)


def load_prices(own: Path | None = None) -> PriceTable:
    """The shipped table, with the user's own file over it.

    Args:
        own: a JSON or YAML file in the form of `prices.json`, of which it needs only what differs.

    Raises:
        SpecError: the file cannot be read, or what is wrong with it, each problem with its field.
    """
    shipped = parse_prices(read(SHIPPED.read_bytes(), format="json", source=SHIPPED.name), SHIPPED.name)
    return shipped if own is None else read_prices(own).over(shipped)


def read_prices(path: Path) -> PriceTable:
    """One price file alone; raises as `load_prices`."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SpecError([Problem("", f"cannot be read: {error.strerror}")], source=str(path)) from None
    return parse_prices(
        read(text, format="json" if path.suffix == ".json" else "yaml", source=path.name), path.name
    )


def parse_prices(data: object, source: str) -> PriceTable:
    """Plain data → price table.

    Raises:
        SpecError: all problems, each with its field (`prices.us-east-1.m5.large.on_demand.usd`).
    """
    if not isinstance(data, Mapping):
        raise SpecError([Problem("", f"must be a mapping (key: value), got {shown(data)}")], source=source)
    if too_large := limit_problems(data):
        raise SpecError(too_large, source=source)
    try:
        return PriceTable.model_validate(dict(data), by_alias=True, by_name=False)
    except ValidationError as error:
        raise SpecError(complaints.problems(error, PriceTable), source=source) from None


def document(table: PriceTable) -> dict[str, Any]:
    """The table as the JSON that `parse_prices` reads."""
    return table.model_dump(mode="json", by_alias=True, exclude_none=True)


def _of_source(known: MachinePrices, source: Origin) -> MachinePrices:
    return MachinePrices(
        on_demand=known.on_demand if known.on_demand and known.on_demand.source == source else None,
        spot=known.spot if known.spot and known.spot.source == source else None,
    )


def _price(figure: Figure) -> Price:
    return Price(figure.usd_per_hour, figure.as_of, verified=figure.source != "unverified")
