"""Which figure of AWS's price lists and spot histories is the price of an hour."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from price_server import product_document

from hpo_tasks.prices.aws_lists import on_demand_usd, product_filters, spot_usd

LINUX = {
    "instanceType": "g5.xlarge",
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
    "regionCode": "us-east-1",
}
TRAINING = {"instanceName": "ml.g5.xlarge", "component": "Training", "regionCode": "us-east-1"}
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def spot(zone, usd, hours_ago=0):
    return {"AvailabilityZone": zone, "SpotPrice": usd, "Timestamp": NOON - timedelta(hours=hours_ago)}


def test_an_on_demand_hour_of_the_type():
    assert on_demand_usd([product_document(LINUX, "1.0060000000")], "g5.xlarge") == Decimal("1.006")


def test_documents_may_be_parsed_already():
    assert on_demand_usd([json.loads(product_document(LINUX, "1.006"))], "g5.xlarge") == Decimal("1.006")


@pytest.mark.parametrize(
    "other",
    [
        {"operatingSystem": "Windows"},
        {"tenancy": "Dedicated"},
        {"preInstalledSw": "SQL Std"},
        {"capacitystatus": "UnusedCapacityReservation"},
        {"marketoption": "CapacityBlock"},
        {"instanceType": "g5.2xlarge"},
    ],
)
def test_what_is_no_plain_linux_instance_does_not_count(other):
    documents = [product_document(LINUX, "1.006"), product_document(LINUX | other, "9.99")]
    assert on_demand_usd(documents, "g5.xlarge") == Decimal("1.006")
    assert on_demand_usd(documents[1:], "g5.xlarge") is None


@pytest.mark.parametrize(("usd", "unit"), [("0.0000000000", "Hrs"), ("13.57", "Quantity"), ("", "Hrs")])
def test_a_free_hour_and_an_upfront_fee_are_no_price(usd, unit):
    assert on_demand_usd([product_document(LINUX, usd, unit=unit)], "g5.xlarge") is None


def test_reservations_are_no_price():
    document = json.loads(product_document(LINUX, "1.006"))
    document["terms"]["Reserved"] = document["terms"].pop("OnDemand")
    assert on_demand_usd([document], "g5.xlarge") is None


def test_of_several_prices_the_highest_counts():
    documents = [product_document(LINUX, usd) for usd in ("1.0", "1.2", "1.1")]
    assert on_demand_usd(documents, "g5.xlarge") == Decimal("1.2")


def test_sagemaker_means_training():
    documents = [
        product_document(TRAINING, "1.408"),
        product_document(TRAINING | {"component": "Hosting"}, "1.5"),
        product_document({"instanceName": "ml.g5.xlarge"}, "13.57"),
    ]
    assert on_demand_usd(documents, "ml.g5.xlarge") == Decimal("1.408")
    assert on_demand_usd(documents[1:], "ml.g5.xlarge") is None


def test_the_filters_ask_for_the_product_that_counts():
    for name, attributes in (("g5.xlarge", LINUX), ("ml.g5.xlarge", TRAINING)):
        service, filters = product_filters(name, "us-east-1")
        assert service == ("AmazonSageMaker" if name.startswith("ml.") else "AmazonEC2")
        assert {each["Field"]: each["Value"] for each in filters}.items() <= attributes.items()
        assert {each["Type"] for each in filters} == {"TERM_MATCH"}


def test_a_spot_price_is_the_median_of_what_the_zones_ask_now():
    history = [
        spot("a", "0.9", hours_ago=5),
        spot("a", "0.3"),
        spot("b", "0.5", hours_ago=2),
        spot("b", "0.1", hours_ago=3),
        spot("c", "0.8", hours_ago=40),
    ]
    assert spot_usd(history) == Decimal("0.5")


def test_of_two_zones_the_cheaper_counts_and_of_none_there_is_no_price():
    assert spot_usd([spot("a", "0.3"), spot("b", "0.4")]) == Decimal("0.3")
    assert spot_usd([]) is None
