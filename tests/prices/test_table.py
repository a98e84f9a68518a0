"""The price table: what ships, what a user's own file changes, and how its mistakes are told."""

import gzip
import json
from datetime import date
from decimal import Decimal
from importlib import resources

import pytest

from hpo_tasks.errors import SpecError
from hpo_tasks.prices.table import SHIPPED, NoPrice, Price, document, load_prices, parse_prices

FAMILIES = {"m5", "m6i", "m7i", "c5", "c6i", "c7i", "r5", "r6i", "g4dn", "g5", "g6", "p3", "p4d", "p5"}


@pytest.fixture
def own(tmp_path):
    """Writes a price file of the user's and loads the table with it."""

    def load(data, name="prices.json"):
        path = tmp_path / name
        path.write_text(data if isinstance(data, str) else json.dumps(data))
        return load_prices(path)

    return load


def problems(data):
    with pytest.raises(SpecError) as error:
        parse_prices(data, "p.json")
    return str(error.value).splitlines()


def figure(usd, **changes):
    return {"usd": usd, "as_of": "2026-02-03", **changes}


def test_the_shipped_table_has_the_families_that_people_use_and_no_figure_is_called_verified():
    table = load_prices()
    assert {name.split(".")[0] for name in table.machines} == FAMILIES
    assert len(table.machines) >= 40
    for names in table.prices.values():
        for known in names.values():
            assert known.on_demand.source == "unverified"
            assert known.spot is None


def test_every_shipped_machine_has_a_price_and_every_price_a_machine():
    table = load_prices()
    priced = table.prices["us-east-1"]
    assert {name for name in priced if not name.startswith("ml.")} == set(table.machines)
    assert all(table.spec(name) for name in priced)
    assert sum(name.startswith("ml.") for name in priced) >= 20


def test_the_shipped_specs_are_those_of_ec2():
    data = resources.files("moto.ec2").joinpath("resources/instance_types.json.gz").read_bytes()
    ec2 = json.loads(gzip.decompress(data))
    machines = {name: spec for name, spec in load_prices().machines.items() if name in ec2}
    assert len(machines) >= 40  # EC2 forgets old types, such as p3
    for name, spec in machines.items():
        assert spec.vcpus == ec2[name]["VCpuInfo"]["DefaultVCpus"], name
        assert spec.memory_gib == Decimal(ec2[name]["MemoryInfo"]["SizeInMiB"]) / 1024, name
        gpus = ec2[name].get("GpuInfo", {}).get("Gpus", [])
        assert spec.gpus == sum(gpu["Count"] for gpu in gpus), name


def test_sagemaker_costs_more_than_the_machine_that_it_rents():
    table = load_prices()
    for name in table.prices["us-east-1"]:
        if name.startswith("ml."):
            dearer, plain = (table.price(each, "us-east-1", "on_demand") for each in (name, name[3:]))
            assert 1 < dearer.usd_per_hour / plain.usd_per_hour < 1.5, name


def test_prices_are_exact_decimals():
    assert load_prices().price("m5.24xlarge", "us-east-1", "on_demand") == Price(
        Decimal("4.608"), date(2026, 1, 19), verified=False
    )


def test_without_a_spot_price_the_typical_share_of_on_demand_counts_and_stays_unverified(own):
    table = own({"schema": 1, "prices": {"us-east-1": {"m5.large": {"on_demand": figure("1")}}}})
    spot = table.price("m5.large", "us-east-1", "spot")
    assert spot == Price(Decimal("0.40"), date(2026, 2, 3), verified=False)
    assert table.price("m5.large", "us-east-1", "on_demand").verified


@pytest.mark.parametrize("market", ["on_demand", "spot"])
def test_an_unknown_price_is_a_reason_that_says_what_to_do(market):
    for name, region in (("x9.large", "us-east-1"), ("m5.large", "eu-west-9")):
        unknown = load_prices().price(name, region, market)
        assert isinstance(unknown, NoPrice)
        assert name in unknown.reason
        assert region in unknown.reason
        assert "hpo prices update" in unknown.reason


def test_the_users_file_changes_what_it_names_and_nothing_else(own):
    table = own(
        {
            "schema": 1,
            "machines": {"z1.big": {"vcpus": 8, "memory_gib": 61.5}},
            "prices": {
                "us-east-1": {"m5.large": {"spot": figure("0.03", source="aws")}},
                "eu-west-3": {"z1.big": {"on_demand": figure(2.5)}},
            },
        }
    )
    shipped = load_prices()
    assert table.price("m5.large", "us-east-1", "on_demand") == shipped.price(
        "m5.large", "us-east-1", "on_demand"
    )
    assert table.price("m5.large", "us-east-1", "spot") == Price(
        Decimal("0.03"), date(2026, 2, 3), verified=True
    )
    assert table.price("z1.big", "eu-west-3", "on_demand").usd_per_hour == Decimal("2.5")
    assert table.spec("ml.z1.big").memory_gib == Decimal("61.5")
    assert table.machines["p5.48xlarge"] == shipped.machines["p5.48xlarge"]


def test_a_file_in_yaml_is_read_too(own):
    text = "schema: 1\nprices: {us-east-1: {m5.large: {on_demand: {usd: 0.05, as_of: '2026-02-03'}}}}"
    assert own(text, "own.yaml").price("m5.large", "us-east-1", "on_demand").usd_per_hour == Decimal("0.05")


def test_a_table_is_the_same_after_writing_and_reading():
    table = load_prices()
    assert parse_prices(json.loads(json.dumps(document(table))), "again") == table
    assert document(table) == document(parse_prices(json.loads(SHIPPED.read_text()), "shipped"))


@pytest.mark.parametrize(
    ("usd", "got"),
    [
        ("0", '"0"'),
        (0, "0"),
        (-1, "-1"),
        ("NaN", '"NaN"'),
        ("cheap", '"cheap"'),
        (True, "true"),
        (None, "null"),
    ],
)
def test_a_price_of_nothing_is_no_price(usd, got):
    data = {"schema": 1, "prices": {"r": {"m5.large": {"on_demand": figure(usd)}}}}
    (problem,) = problems(data)
    assert problem == (
        "p.json: prices.r.m5.large.on_demand.usd: "
        f"must be US dollars per hour, more than 0, such as 0.096; got {got}"
    )


def test_every_mistake_is_told_with_its_field():
    data = {
        "schema": 2,
        "machnes": {},
        "machines": {"a.b": {"vcpu": 4, "vcpus": 0, "memory_gib": -1, "spot_share": "1.5"}},
        "prices": {"r": {"a.b": {"ondemand": {}, "spot": {"usd": 1, "source": "awz"}}}},
    }
    assert problems(data) == [
        "p.json: schema: must be 1, got 2",
        "p.json: machines.a.b.vcpus: must be at least 1, got 0",
        "p.json: machines.a.b.memory_gib: must be a number above 0, got -1",
        'p.json: machines.a.b.spot_share: must be a share, more than 0 and at most 1, got "1.5"',
        "p.json: machines.a.b.vcpu: unknown field, did you mean `vcpus`?",
        "p.json: prices.r.a.b.spot.as_of: missing",
        'p.json: prices.r.a.b.spot.source: must be one of unverified, aws, own, got "awz", did you mean `aws`?',
        "p.json: prices.r.a.b.ondemand: unknown field, did you mean `on_demand`?",
        "p.json: machnes: unknown field, did you mean `machines`?",
    ]


@pytest.mark.parametrize("text", ["[]", "{", "{}", '{"schema": 1, "schema": 1}', ""])
def test_a_file_that_is_no_table_is_refused_with_its_name(own, text):
    with pytest.raises(SpecError, match=r"^prices.json: "):
        own(text)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"nowhere.json: cannot be read: No such file"):
        load_prices(tmp_path / "nowhere.json")
