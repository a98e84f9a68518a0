"""`hpo prices`: the table as people and programs read it, and its refresh over HTTP."""

import json
from pathlib import Path

import pytest
from hpo_command import Hpo
from price_server import PriceServer


@pytest.fixture(autouse=True)
def no_own_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HPO_PRICES", raising=False)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch):
    """An AWS that sells m5.large, and that in SageMaker too."""
    server = PriceServer()
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    server.sells(
        "AmazonEC2", "0.1100000000", instanceType="m5.large", operatingSystem="Linux", tenancy="Shared",
        preInstalledSw="NA", capacitystatus="Used", regionCode="us-east-1",
    )  # fmt: skip
    server.sells(
        "AmazonSageMaker", "0.14", instanceName="ml.m5.large", component="Training", regionCode="us-east-1"
    )
    server.spots.append(("m5.large", "us-east-1a", "0.0333", "2026-11-21T01:02:03.000Z"))
    yield server
    server.close()


def shown(hpo: Hpo, name: str) -> dict:
    return {row["type"]: row for row in json.loads(hpo("prices", "show", name, "--json").out)}[name]


def test_show_marks_what_nobody_compared_with_aws(hpo: Hpo) -> None:
    ended = hpo("prices", "show", "m5.4")
    assert ended.code == 0
    (row,) = [line for line in ended.out.splitlines() if line.startswith("m5.4xlarge")]
    assert row.split() == ["m5.4xlarge", "16", "64", "0", "0.7680?", "0.3072?", "2026-01-19"]
    assert "unverified" in ended.err


def test_show_lists_every_type(hpo: Hpo) -> None:
    rows = json.loads(hpo("prices", "show", "--json").out)
    assert len(rows) > 60
    assert rows[0].keys() == {"type", "region", "vcpus", "memory_gib", "gpus", "on_demand", "spot"}


def test_show_of_a_region_without_prices_has_none_instead_of_zero(hpo: Hpo) -> None:
    (row,) = json.loads(hpo("prices", "show", "m5.large", "--region", "eu-west-3", "--json").out)
    assert (row["on_demand"], row["spot"], row["vcpus"]) == (None, None, 2)


def test_show_of_an_unknown_type(hpo: Hpo) -> None:
    ended = hpo("prices", "show", "q9")
    assert ended.code == 2
    assert "q9" in ended.err


def test_update_writes_what_aws_says_and_show_reads_it(hpo: Hpo, home: Path, aws: PriceServer) -> None:
    ended = hpo("prices", "update", "--json")
    assert ended.code == 0
    document = json.loads(ended.out)
    assert document["file"] == str(home / "prices.json")
    assert document["prices"] == 2
    assert "p3.2xlarge" in document["missing"]
    row = shown(hpo, "m5.large")
    assert (row["on_demand"]["usd_per_hour"], row["on_demand"]["verified"]) == (0.11, True)
    assert (row["spot"]["usd_per_hour"], row["spot"]["verified"]) == (0.0333, True)
    assert shown(hpo, "ml.m5.large")["on_demand"]["usd_per_hour"] == 0.14
    assert shown(hpo, "m5.xlarge")["on_demand"] == {
        "usd_per_hour": 0.192,
        "as_of": "2026-01-19",
        "verified": False,
    }


def test_update_leaves_the_users_own_figures_and_machines(
    hpo: Hpo, tmp_path: Path, aws: PriceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own.json"
    bargain = {"on_demand": {"usd": "0.05", "as_of": "2026-01-01"}}
    own.write_text(
        json.dumps(
            {
                "schema": 1,
                "machines": {"z1.big": {"vcpus": 8, "memory_gib": 64}},
                "prices": {"us-east-1": {"m5.large": bargain}, "eu-west-3": {"m5.large": bargain}},
            }
        )
    )
    monkeypatch.setenv("HPO_PRICES", str(own))
    assert hpo("prices", "update").code == 0
    row = shown(hpo, "m5.large")
    assert (row["on_demand"]["usd_per_hour"], row["spot"]["usd_per_hour"]) == (0.05, 0.0333)
    kept = json.loads(own.read_text())
    assert kept["machines"]["z1.big"]["vcpus"] == 8
    assert kept["prices"]["eu-west-3"]["m5.large"]["on_demand"]["usd"] == "0.05"


def test_update_creates_the_file_that_is_named(
    hpo: Hpo, tmp_path: Path, aws: PriceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPO_PRICES", str(tmp_path / "new" / "prices.json"))
    assert hpo("prices", "update").code == 0
    assert shown(hpo, "m5.large")["on_demand"]["usd_per_hour"] == 0.11


def test_update_does_not_overwrite_a_file_with_comments(
    hpo: Hpo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPO_PRICES", str(tmp_path / "own.yaml"))
    ended = hpo("prices", "update")
    assert ended.code == 2
    assert "HPO_PRICES" in ended.err


def test_update_without_permission_says_which(hpo: Hpo, home: Path, aws: PriceServer) -> None:
    aws.refuse = "AccessDeniedException"
    ended = hpo("prices", "update")
    assert ended.code == 1
    assert "pricing:GetProducts, ec2:DescribeSpotPriceHistory" in ended.err
    assert not (home / "prices.json").exists()


def test_update_without_an_answer_says_so(
    hpo: Hpo, aws: PriceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.close()
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    ended = hpo("prices", "update")
    assert ended.code == 1
    assert "AWS does not answer" in ended.err
