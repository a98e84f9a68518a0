"""Figures of today from AWS, through boto3 clients that the caller made."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hpo_tasks.prices.aws_lists import on_demand_usd, product_filters, spot_usd
from hpo_tasks.prices.table import SAGEMAKER, Figure, MachinePrices, PriceTable

LINUX = "Linux/UNIX"


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What came of asking AWS.

    Attributes:
        table: only what AWS named, to be laid over the table that was known.
        missing: types that AWS has no on-demand price for in the region: it does not offer them there.
    """

    table: PriceTable
    missing: tuple[str, ...]


def refresh(machine_types: Sequence[str], region: str, *, pricing: Any, ec2: Any, now: datetime) -> Refreshed:
    """Ask the Pricing API and the spot history; one call or more for each type, one paginated call for all spots.

    Args:
        machine_types: EC2 types, and SageMaker's with `ml.`.
        region: e.g. `us-east-1`.
        pricing: boto3 client of `pricing` (which answers in few regions, about all of them).
        ec2: boto3 client of `ec2` in the region.
        now: aware.

    Raises:
        Whatever the clients raise.
    """
    today = now.astimezone(UTC).date()
    spots = _spot_prices([name for name in machine_types if not name.startswith(SAGEMAKER)], ec2, now)
    found, missing = {}, []
    for name in machine_types:
        on_demand = on_demand_usd(_products(pricing, name, region), name)
        if on_demand is None:
            missing.append(name)
            continue
        spot = spots.get(name)
        found[name] = MachinePrices(
            on_demand=Figure(usd_per_hour=on_demand, as_of=today, source="aws"),
            spot=None if spot is None else Figure(usd_per_hour=spot, as_of=today, source="aws"),
        )
    return Refreshed(PriceTable(version=1, prices={region: found}), tuple(missing))


def known_types(table: PriceTable) -> list[str]:
    """Every type to ask AWS about: each machine on EC2 and on SageMaker."""
    return [*table.machines, *(f"{SAGEMAKER}{name}" for name in table.machines)]


def _products(pricing: Any, machine_type: str, region: str) -> Iterator[str]:
    service, filters = product_filters(machine_type, region)
    pages = pricing.get_paginator("get_products").paginate(
        ServiceCode=service, Filters=filters, FormatVersion="aws_v1"
    )
    for page in pages:
        yield from page["PriceList"]


def _spot_prices(machine_types: Sequence[str], ec2: Any, now: datetime) -> dict[str, Decimal]:
    # A start in the present answers with the price that holds in each zone now, however long ago it was set.
    pages: Iterable[Any] = ec2.get_paginator("describe_spot_price_history").paginate(
        InstanceTypes=list(machine_types), ProductDescriptions=[LINUX], StartTime=now, EndTime=now
    )
    entries = [entry for page in pages for entry in page["SpotPriceHistory"]]
    prices = {
        name: spot_usd(entry for entry in entries if entry["InstanceType"] == name) for name in machine_types
    }
    return {name: usd for name, usd in prices.items() if usd is not None}
