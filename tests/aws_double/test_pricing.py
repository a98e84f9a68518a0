"""Prices, in the form in which AWS gives them."""

import json

import pytest
from botocore.exceptions import ClientError


def test_an_on_demand_price_is_found_as_on_aws(aws):
    wanted = {
        "instanceType": "g5.xlarge",
        "regionCode": "us-east-1",
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
    }
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
    (text,) = aws.client("pricing").get_products(ServiceCode="AmazonEC2", Filters=filters)["PriceList"]
    (term,) = json.loads(text)["terms"]["OnDemand"].values()
    (rate,) = term["priceDimensions"].values()
    assert (rate["unit"], float(rate["pricePerUnit"]["USD"])) == ("Hrs", 1.006)


def test_products_come_in_pages(aws):
    pages = (
        aws.client("pricing")
        .get_paginator("get_products")
        .paginate(
            ServiceCode="AmazonEC2",
            Filters=[{"Type": "TERM_MATCH", "Field": "regionCode", "Value": "us-east-1"}],
            PaginationConfig={"PageSize": 3},
        )
    )
    kinds = [
        json.loads(text)["product"]["attributes"]["instanceType"]
        for page in pages
        for text in page["PriceList"]
    ]
    assert len(kinds) == len(set(kinds)) == 7


def test_training_on_sagemaker_has_prices_of_its_own(aws):
    filters = [{"Type": "TERM_MATCH", "Field": "instanceName", "Value": "ml.m5.large"}]
    reply = aws.client("pricing").get_products(ServiceCode="AmazonSageMaker", Filters=filters)
    assert len(reply["PriceList"]) == 1


def test_a_service_without_prices_is_not_found(aws):
    with pytest.raises(ClientError, match="NotFoundException"):
        aws.client("pricing").get_products(ServiceCode="AmazonNothing")


def test_spot_prices_differ_by_type_and_region(aws):
    def price(kind, region):
        history = aws.client("ec2", region=region).describe_spot_price_history(InstanceTypes=[kind])[
            "SpotPriceHistory"
        ]
        return {float(entry["SpotPrice"]) for entry in history}

    assert price("m5.large", "us-east-1") == {0.035}
    assert price("m5.xlarge", "us-east-1") == {0.07}
    assert price("m5.large", "eu-west-1") == {0.04}
    assert price("c5.2xlarge", "us-east-1") == set()
