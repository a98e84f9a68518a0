"""Addresses of object stores, and what the job's access costs to import."""

import subprocess
import sys
from pathlib import Path

import pytest
from s3_server import S3Server

from hpo_tasks.errors import InputError, RefusedError
from hpo_tasks.trial.objects import MAX_PREFIX_BYTES, open_objects, parse_uri


@pytest.mark.parametrize(
    ("uri", "location"),
    [
        ("/var/hpo", Path("/var/hpo")),
        ("relative/folder", Path("relative/folder")),
        ("/with%20percent", Path("/with%20percent")),
        ("file:///var/with%20percent", Path("/var/with percent")),
        ("FILE:///var", Path("/var")),
        ("s3://bucket", ("bucket", "")),
        ("s3://bucket/", ("bucket", "")),
        ("s3://my.bucket-1/team a/hpo//", ("my.bucket-1", "team a/hpo")),
    ],
)
def test_addresses(uri: str, location: object) -> None:
    assert parse_uri(uri) == location


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("", "empty"),
        ("/var/a\nb", "control characters"),
        ("file:///var/a%00b", "control characters"),
        ("file://host/var", "three slashes"),
        ("s3://", "s3://bucket/prefix"),
        ("s3:///prefix", "s3://bucket/prefix"),
        ("s3://Bucket/x", "no valid bucket"),
        ("s3://arn:aws:s3:eu-west-1:123:accesspoint/x/y", "no valid bucket"),
        ("s3://bucket/../other", "must not hold the parts"),
        ("s3://bucket/a//b", "two slashes"),
        ("s3://bucket/" + "x" * (MAX_PREFIX_BYTES + 1), f"at most {MAX_PREFIX_BYTES} bytes"),
        ("gs://bucket/x", "must be a folder"),
        ("https://bucket.s3.amazonaws.com/x", "must be a folder"),
    ],
)
def test_bad_addresses_are_refused_with_a_reason(uri: str, says: str) -> None:
    with pytest.raises(InputError, match=r"object store: ") as raised:
        open_objects(uri)
    assert says in str(raised.value)


def test_credentials_in_an_address_are_refused_and_not_repeated() -> None:
    with pytest.raises(InputError) as raised:
        open_objects("s3://AKIAEXAMPLE:verysecret@bucket/prefix")
    assert "credentials" in str(raised.value)
    assert "verysecret" not in str(raised.value)


def test_a_folder_needs_the_standard_library_only(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "from hpo_tasks.trial.objects import open_objects\n"
        f"open_objects({str(tmp_path)!r}).create('key', b'value')\n"
        "print(sorted({m.partition('.')[0] for m in set(sys.modules) - before} - sys.stdlib_module_names))\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert run.stdout == "['hpo_tasks']\n"
    assert (tmp_path / "key").read_bytes() == b"value"


def test_a_job_finds_its_s3_settings_in_the_environment(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    objects = open_objects(f"s3://{s3.new_bucket()}/hpo")

    assert objects.create("key", b"value")
    assert objects.read("key") == b"value"


def test_missing_credentials_are_named(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")

    with pytest.raises(RefusedError, match="no complete AWS credentials: check the Airflow connection"):
        open_objects("s3://bucket/hpo").read("key")


def test_a_wrong_endpoint_setting_is_named(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.environment(endpoint="not a url").items():
        monkeypatch.setenv(name, value)

    with pytest.raises(
        RefusedError, match=r"no S3 client from the AWS settings in the environment: .*not a url"
    ):
        open_objects("s3://bucket/hpo").read("key")
