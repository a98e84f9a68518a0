"""`hpo infra` from the command line to a CloudFormation server."""

import json

import pytest
import yaml
from s3_server import S3Server

from tests.infra.emulator import Emulator, use_moto_template


@pytest.fixture
def aws(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    emulator = Emulator(s3)
    use_moto_template(monkeypatch)
    for name, value in emulator.environment().items():
        monkeypatch.setenv(name, value)
    return emulator


def options(aws: Emulator) -> list[str]:
    subnets = [word for subnet in aws.subnets for word in ("--subnet", subnet)]
    # moto takes the default of a list apart into letters: the types are given
    return ["--vpc", aws.vpc, *subnets, "--image", "trial:1", "--set", "InstanceTypes=optimal"]


def test_deploy_show_and_destroy(hpo, aws):
    made = hpo("infra", "deploy", "one", *options(aws), "--set", "LogDays=7")
    assert made.code == 0, made.err
    pasted = yaml.safe_load(made.out)
    assert pasted["store"].startswith("s3://hpo-one-")
    assert pasted["backend"] == {
        "type": "batch", "slots": 8, "job_queue": "hpo-one", "job_definition": "hpo-one_trial"
    }  # fmt: skip
    assert "creating stack hpo-one" in made.err

    assert hpo("infra", "show", "one").out == made.out
    shown = json.loads(hpo("infra", "show", "one", "--json").out)
    assert (shown["stack"], shown["state"]) == ("hpo-one", "CREATE_COMPLETE")
    assert shown["outputs"]["Store"] == pasted["store"]

    bucket = shown["outputs"]["Bucket"]
    aws.client("s3").put_object(Bucket=bucket, Key="hpo/best/x.json", Body=b"{}")
    refused = hpo("infra", "destroy", "one")
    assert refused.code == 1
    assert f"nothing was deleted:\nbucket {bucket} is not empty" in refused.err
    assert hpo("infra", "show", "one").code == 0

    aws.client("s3").delete_object(Bucket=bucket, Key="hpo/best/x.json")
    assert hpo("infra", "destroy", "one").code == 0
    assert hpo("infra", "show", "one").code == 2


def test_what_is_wrong_with_the_input_is_named(hpo, aws):
    assert "hpo infra deploy two makes it" in hpo("infra", "destroy", "two").err
    missing = hpo("infra", "deploy", "two", "--vpc", aws.vpc)
    assert (missing.code, "a new stack needs SubnetIds, Image" in missing.err) == (2, True)
    for wrong, message in (
        ("SpotMaxvCpus", "write NAME=VALUE"),
        ("Prefix=x", "name it as --prefix"),
        ("LogDay=7", "did you mean LogDays?"),
    ):
        ended = hpo("infra", "deploy", "two", *options(aws), "--set", wrong)
        assert (ended.code, message in ended.err) == (2, True), ended.err


def test_an_account_that_is_not_named_is_one_sentence(hpo, monkeypatch, tmp_path):
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_PROFILE",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    ended = hpo("infra", "show", "one")
    assert ended.code == 1
    assert "set AWS_PROFILE" in ended.err
    assert "Traceback" not in ended.err
