"""What an attempt costs, by hand calculations to the cent."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo_tasks.prices.table import load_prices, parse_prices
from hpo_tasks.study.cost import (
    AttemptCost,
    Billing,
    Machine,
    batch_billing,
    cents,
    cost,
    ec2_billings,
    ec2_idle_billing,
    sagemaker_billing,
    total,
    usd_text,
)

GIB = 1 << 30
ON_DEMAND = {"as_of": "2026-01-01", "source": "own"}
PRICES = parse_prices(
    {
        "schema": 1,
        "machines": {
            "m5.4xlarge": {"vcpus": 16, "memory_gib": 64},
            "g5.12xlarge": {"vcpus": 48, "memory_gib": 192, "gpus": 4},
        },
        "prices": {
            "us-east-1": {
                "m5.4xlarge": {
                    "on_demand": {"usd": "0.768", **ON_DEMAND},
                    "spot": {"usd": "0.3", **ON_DEMAND},
                },
                "g5.12xlarge": {"on_demand": {"usd": "5.672", **ON_DEMAND}},
                "ml.m5.4xlarge": {"on_demand": {"usd": "0.922", **ON_DEMAND}},
            }
        },
    },
    "test",
)
M5 = Machine("m5.4xlarge", "us-east-1")
M5_SPEC = PRICES.machines["m5.4xlarge"]


def usd(billing):
    return cents(cost(billing, PRICES).usd)


def test_an_hour_of_a_machine_costs_its_price():
    assert cost(Billing(M5, Decimal(3600)), PRICES) == AttemptCost(Decimal("0.768"), verified=True)


def test_spot_seconds_cost_the_spot_price():
    assert usd(Billing(Machine("m5.4xlarge", "us-east-1", "spot"), Decimal(7200))) == Decimal("0.60")


@pytest.mark.parametrize(
    ("vcpus", "gib", "share"),
    [(4, 8, "0.25"), (4, 32, "0.5"), (0.5, 1, "0.03125"), (16, 64, "1"), (32, 8, "1")],
)
def test_a_batch_job_bears_the_larger_of_its_shares_of_processors_and_memory(vcpus, gib, share):
    billing = batch_billing(M5, M5_SPEC, seconds=1800, vcpus=vcpus, memory_bytes=gib * GIB)
    assert billing.share == Decimal(share)


def test_a_batch_job_to_the_cent():
    """2 h of 4 of 16 vCPUs and of 32 of 64 GiB: half the machine, 2 × 0.768 / 2."""
    assert usd(batch_billing(M5, M5_SPEC, seconds=7200, vcpus=4, memory_bytes=32 * GIB)) == Decimal("0.77")


def test_a_gpu_that_a_job_holds_nobody_else_can_have():
    machine, spec = Machine("g5.12xlarge", "us-east-1"), PRICES.machines["g5.12xlarge"]
    billing = batch_billing(machine, spec, seconds=3600, vcpus=4, memory_bytes=8 * GIB, gpus=2)
    assert billing.share == Decimal("0.5")
    assert usd(billing) == Decimal("2.84")


def test_a_batch_job_on_an_unknown_machine_has_no_price_instead_of_none_at_all():
    billing = batch_billing(M5, None, seconds=60, vcpus=1, memory_bytes=GIB)
    assert cost(billing, PRICES, reason="unknown type") == AttemptCost(None, "unknown type")


def test_an_instance_is_shared_by_busy_time_with_its_idle_time():
    """An hour, 900 + 1800 s busy on two slots: a third and two thirds of 0.768."""
    billings = ec2_billings(M5, 3600, {"a": 900, "b": 1800})
    assert {key: usd(each) for key, each in billings.items()} == {"a": Decimal("0.26"), "b": Decimal("0.51")}
    assert cost(billings["a"], PRICES).usd == Decimal("0.256")


@given(
    alive_s=st.floats(0, 1e6),
    busy_s=st.dictionaries(st.integers(), st.floats(0.001, 1e6), min_size=1, max_size=30),
)
def test_the_attempts_of_an_instance_add_up_to_its_bill(alive_s, busy_s):
    parts = [cost(each, PRICES) for each in ec2_billings(M5, alive_s, busy_s).values()]
    bill = cost(ec2_idle_billing(M5, alive_s), PRICES).usd
    assert abs(total(parts).usd - bill) < Decimal("0.000001")


def test_an_instance_costs_at_least_a_minute():
    (billing,) = ec2_billings(M5, 10.0, {"a": 5.0}).values()
    assert billing.billed_s == 60


def test_an_instance_on_which_nothing_ran_is_no_attempts():
    assert ec2_billings(M5, 3600, {}) == {}
    assert ec2_billings(M5, 3600, {"a": 0.0}) == {}
    assert usd(ec2_idle_billing(M5, 3600)) == Decimal("0.77")


def test_sagemaker_bills_its_seconds_times_the_instances_at_the_on_demand_price():
    """With managed spot too: the discount is in BillableTimeInSeconds already. 2 × 500 s × 0.922 / h."""
    billing = sagemaker_billing("ml.m5.4xlarge", "us-east-1", billable_s=500, instances=2)
    assert billing.machine.market == "on_demand"
    assert usd(billing) == Decimal("0.26")


def test_an_unknown_price_is_no_number_but_a_reason():
    unknown = cost(Billing(Machine("m5.4xlarge", "eu-west-3"), Decimal(60)), PRICES)
    assert unknown.usd is None
    assert "eu-west-3" in unknown.reason
    assert cost(None, PRICES).reason


def test_a_sum_says_what_it_leaves_out():
    costs = [AttemptCost(Decimal("1.204"), verified=True)] * 3
    costs += [AttemptCost(None, "no price of x")] * 2 + [AttemptCost(None, "no price of y")]
    found = total(costs)
    assert (found.usd, found.attempts, found.without_price) == (Decimal("3.612"), 6, 3)
    assert found.reasons == {"no price of x": 2, "no price of y": 1}
    assert found.sentence == (
        "$3.61 for 3 attempts; 3 attempts without a price: no price of x; no price of y"
    )


def test_a_sum_of_nothing():
    assert total([]).sentence == "$0.00 for 0 attempts"


def test_a_sum_is_verified_only_if_every_price_in_it_is():
    assert total([AttemptCost(Decimal(1), verified=True)]).verified
    assert not total([AttemptCost(Decimal(1), verified=True), AttemptCost(Decimal(1))]).verified


def test_cents_are_lost_in_no_sum():
    """A third of a cent three hundred times is a dollar."""
    third = AttemptCost(Decimal(1) / 300)
    assert cents(total([third] * 300).usd) == Decimal("1.00")


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("1234.5", "$1,234.50"),
        ("0.005", "$0.01"),
        ("0.0049", "less than $0.01"),
        ("0", "$0.00"),
        ("2.675", "$2.68"),
    ],
)
def test_dollars_as_people_read_them(amount, text):
    assert usd_text(Decimal(amount)) == text


def test_the_shipped_table_prices_the_example_of_the_page():
    """docs/money.md: 10 minutes of half an m5.4xlarge."""
    assert cents(cost(Billing(M5, Decimal(600), Decimal("0.5")), load_prices()).usd) == Decimal("0.06")
