"""Real boto3 clients against a server that answers as AWS does."""

from datetime import UTC, date, datetime
from decimal import Decimal

import boto3
import pytest

from hpo_tasks.prices.refresh import known_types, refresh
from hpo_tasks.prices.table import Price, load_prices

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def ask(price_server):
    """Refreshes the given types of us-east-1."""
    pricing = boto3.client("pricing", region_name="us-east-1")
    ec2 = boto3.client("ec2", region_name="us-east-1")
    return lambda *types: refresh(types, "us-east-1", pricing=pricing, ec2=ec2, now=NOW)


def sell(server, name, usd, **changes):
    if name.startswith("ml."):
        attributes = {"instanceName": name, "component": "Training"}
        server.sells("AmazonSageMaker", usd, regionCode="us-east-1", **attributes | changes)
    else:
        attributes = {"instanceType": name, "operatingSystem": "Linux", "tenancy": "Shared"}
        attributes |= {"preInstalledSw": "NA", "capacitystatus": "Used", "regionCode": "us-east-1"}
        server.sells("AmazonEC2", usd, **attributes | changes)


def test_prices_of_today(ask, price_server):
    sell(price_server, "m5.large", "0.11")
    sell(price_server, "m5.large", "0.22", tenancy="Dedicated")
    sell(price_server, "ml.m5.large", "0.13")
    price_server.spots.append(("m5.large", "us-east-1a", "0.04", "2026-11-20T01:02:03.000Z"))
    price_server.spots.append(("m5.large", "us-east-1b", "0.05", "2026-11-21T01:02:03.000Z"))
    found = ask("m5.large", "ml.m5.large")
    assert found.missing == ()
    assert found.table.price("m5.large", "us-east-1", "on_demand") == Price(
        Decimal("0.11"), date(2026, 11, 21), verified=True
    )
    assert found.table.price("m5.large", "us-east-1", "spot").usd_per_hour == Decimal("0.04")
    assert found.table.price("ml.m5.large", "us-east-1", "on_demand").usd_per_hour == Decimal("0.13")


def test_all_pages_are_read(ask, price_server):
    for usd in ("0.11", "0.12", "0.10"):
        sell(price_server, "m5.large", usd)
    price = ask("m5.large").table.price("m5.large", "us-east-1", "on_demand")
    assert price.usd_per_hour == Decimal("0.12")


def test_what_aws_does_not_offer_is_named_and_leaves_the_older_figure(ask, price_server):
    sell(price_server, "m5.large", "0.11")
    found = ask("m5.large", "p3.2xlarge")
    assert found.missing == ("p3.2xlarge",)
    table = found.table.over(load_prices())
    assert table.price("p3.2xlarge", "us-east-1", "on_demand").usd_per_hour == Decimal("3.06")


def test_every_shipped_machine_is_asked_for_on_ec2_and_on_sagemaker():
    asked = known_types(load_prices())
    assert {"m5.large", "ml.m5.large"} <= set(asked)
    assert len(asked) == 2 * len(load_prices().machines)
