"""What AWS's answers say about prices. Pure: the Pricing API's product documents and the spot history → USD per hour.

A price list holds more than the price of an hour: reservations, upfront fees of training plans, capacity blocks at 0
dollars, other operating systems. Only what is an on-demand hour of the asked type counts.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from statistics import median_low
from typing import Any

from hpo_tasks.prices.table import SAGEMAKER

_HOUR = "Hrs"
_TRAINING = "training"


def product_filters(machine_type: str, region: str) -> tuple[str, list[dict[str, str]]]:
    """Service code and filters with which the Pricing API's `get_products` finds the price of a type's hour."""
    if machine_type.startswith(SAGEMAKER):
        service, fields = "AmazonSageMaker", {"instanceName": machine_type, "component": "Training"}
    else:
        service = "AmazonEC2"
        fields = {
            "instanceType": machine_type,
            "operatingSystem": "Linux",
            "tenancy": "Shared",
            "preInstalledSw": "NA",
            "capacitystatus": "Used",
        }
    fields["regionCode"] = region
    return service, [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in fields.items()]


def on_demand_usd(documents: Iterable[str | Mapping[str, Any]], machine_type: str) -> Decimal | None:
    """The on-demand price of an hour.

    Args:
        documents: `PriceList` of the answers: JSON texts, or what they hold.
        machine_type: the type that was asked for.

    Returns: None if no document has one. Of several the highest: a forecast must not be too low.
    """
    found = []
    for entry in documents:
        document = json.loads(entry) if isinstance(entry, str) else entry
        if _is_asked_type(document.get("product", {}).get("attributes", {}), machine_type):
            found += _hourly_usd(document)
    return max(found, default=None)


def spot_usd(history: Iterable[Mapping[str, Any]]) -> Decimal | None:
    """A type's spot price now: the newest of each availability zone, of these the median.

    Args:
        history: `SpotPriceHistory` of the answers, of one machine type.

    Returns: None without entries. Of two zones the cheaper one, as a fleet would take it.
    """
    newest: dict[str, tuple[datetime, Decimal]] = {}
    for entry in history:
        usd = _positive(entry["SpotPrice"])
        zone, moment = str(entry["AvailabilityZone"]), entry["Timestamp"]
        if usd is not None and (zone not in newest or moment > newest[zone][0]):
            newest[zone] = (moment, usd)
    return median_low([usd for _, usd in newest.values()]) if newest else None


def _is_asked_type(attributes: Mapping[str, str], machine_type: str) -> bool:
    if machine_type.startswith(SAGEMAKER):
        return (
            attributes.get("instanceName") == machine_type
            and attributes.get("component", "").lower() == _TRAINING
        )
    return (
        attributes.get("instanceType") == machine_type
        and attributes.get("operatingSystem", "Linux") == "Linux"
        and attributes.get("tenancy", "Shared") == "Shared"
        and attributes.get("preInstalledSw", "NA") == "NA"
        and attributes.get("capacitystatus", "Used") == "Used"
        and attributes.get("marketoption", "OnDemand") == "OnDemand"
    )


def _hourly_usd(document: Mapping[str, Any]) -> list[Decimal]:
    terms = document.get("terms", {}).get("OnDemand", {}).values()
    dimensions = [dimension for term in terms for dimension in term.get("priceDimensions", {}).values()]
    prices = [
        _positive(dimension.get("pricePerUnit", {}).get("USD"))
        for dimension in dimensions
        if dimension.get("unit") == _HOUR
    ]
    return [usd for usd in prices if usd is not None]


def _positive(text: object) -> Decimal | None:
    try:
        usd = Decimal(str(text))
    except InvalidOperation:
        return None
    return usd.normalize() if usd.is_finite() and usd > 0 else None
