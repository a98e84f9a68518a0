"""The Price List service and the history of spot prices, from `prices.json`."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aws_double.calls import AwsError, Call

PRICES = Path(__file__).with_name("prices.json")
MOST_LISTED = 100


class Pricing:
    """Answers from the table, whatever the account."""

    def __init__(self) -> None:
        self._table = json.loads(PRICES.read_text())
        self._install()

    def operations(self) -> dict[str, Callable[[Call], Any]]:
        return {"GetProducts": self.get_products}

    def injections(self) -> dict[str, Callable[[Mapping[str, Any]], Any]]:
        return {}

    def alive(self) -> list[str]:
        return []

    def clear(self) -> None:
        """Prices do not change."""

    def get_products(self, call: Call) -> dict[str, Any]:
        most, start = call.get("MaxResults", MOST_LISTED), int(call.get("NextToken") or 0)
        if not 1 <= most <= MOST_LISTED:
            raise AwsError(
                "InvalidParameterException", f"MaxResults must be between 1 and {MOST_LISTED}, got {most}"
            )
        wanted = {entry["Field"].lower(): entry["Value"] for entry in call.get("Filters", [])}
        found = [product for product in self._products(call.get("ServiceCode")) if _fits(product, wanted)]
        reply: dict[str, Any] = {
            "FormatVersion": "aws_v1",
            "PriceList": [json.dumps(product) for product in found[start : start + most]],
        }
        if start + most < len(found):
            reply["NextToken"] = str(start + most)
        return reply

    def _products(self, service: str) -> Iterator[dict[str, Any]]:
        if service not in self._table or not service.startswith("Amazon"):
            raise AwsError("NotFoundException", f"no service {service!r}")
        for region, prices in self._table[service].items():
            for kind, usd in prices.items():
                yield _product(service, region, kind, usd, self._table["publicationDate"])

    def _install(self) -> None:
        """Put our spot prices in the place of moto's, which are all the same."""
        from moto.core.responses import ActionResult
        from moto.ec2.responses.spot_instances import SpotInstances

        table = self._table["spot"]

        def describe_spot_price_history(response: Any) -> Any:
            kinds = response._get_param("InstanceTypes", []) or list(table.get(response.region, {}))
            zone = response._get_param("AvailabilityZone")
            zones = [zone] if zone else [f"{response.region}a", f"{response.region}b"]
            at = datetime.fromtimestamp(time.time() - 3600, UTC)
            history = [
                {
                    "InstanceType": kind,
                    "ProductDescription": "Linux/UNIX",
                    "SpotPrice": f"{table[response.region][kind]:.6f}",
                    "AvailabilityZone": each,
                    "Timestamp": at,
                }
                for kind in kinds
                if kind in table.get(response.region, {})
                for each in zones
            ]
            return ActionResult({"SpotPriceHistory": history})

        SpotInstances.describe_spot_price_history = describe_spot_price_history


def _product(service: str, region: str, kind: str, usd: float, published: str) -> dict[str, Any]:
    """One entry of a price list, with the fields that AWS's has and that people filter by."""
    sku = hashlib.sha256(f"{service} {region} {kind}".encode()).hexdigest()[:16].upper()
    common = {"regionCode": region, "servicecode": service, "locationType": "AWS Region"}
    if service == "AmazonEC2":
        family = "Compute Instance"
        own = {
            "instanceType": kind,
            "operatingSystem": "Linux",
            "tenancy": "Shared",
            "preInstalledSw": "NA",
            "capacitystatus": "Used",
            "usagetype": f"BoxUsage:{kind}",
        }
    else:
        family = "ML Instance"
        own = {"instanceName": kind, "component": "Training", "usagetype": f"Train:{kind}"}
    rate = {"unit": "Hrs", "pricePerUnit": {"USD": f"{usd:.10f}"}, "beginRange": "0", "endRange": "Inf"}
    term = {"sku": sku, "effectiveDate": published, "priceDimensions": {f"{sku}.JRTCKXETXF.6YS6EN2CT7": rate}}
    return {
        "product": {"sku": sku, "productFamily": family, "attributes": {**common, **own}},
        "serviceCode": service,
        "terms": {"OnDemand": {f"{sku}.JRTCKXETXF": term}},
        "version": "1",
        "publicationDate": published,
    }


def _fits(product: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    attributes = {name.lower(): value for name, value in product["product"]["attributes"].items()}
    attributes["productfamily"] = product["product"]["productFamily"]
    return all(attributes.get(name, "").lower() == value.lower() for name, value in wanted.items())
