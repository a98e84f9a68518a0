"""Inputs on S3 reach the program as files."""

import pytest

from hpo_tasks.errors import InputError
from hpo_tasks.trial.inputs import fetch_inputs


@pytest.fixture
def bucket(s3, monkeypatch):
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    name = s3.new_bucket()
    for key in ("2026/train.csv", "2026/other/train.csv"):
        s3.client().put_object(Bucket=name, Key=key, Body=key.encode())
    return name


def test_objects_become_files_with_their_names(bucket, tmp_path):
    """Two of one name do not overwrite each other; what is no object stays what it was."""
    inputs = {
        "train": f"s3://{bucket}/2026/train.csv",
        "other": f"s3://{bucket}/2026/other/train.csv",
        "all": f"s3://{bucket}/2026/",
        "bundled": "sklearn:iris",
    }
    found = fetch_inputs(inputs, tmp_path / "inputs")
    texts = {name: (tmp_path / found[name]).read_text() for name in ("train", "other")}
    assert texts == {"train": "2026/train.csv", "other": "2026/other/train.csv"}
    assert all(found[name].endswith("/train.csv") for name in texts)
    assert (found["all"], found["bundled"]) == (inputs["all"], "sklearn:iris")


def test_an_object_that_is_not_there_is_named(bucket, tmp_path):
    with pytest.raises(InputError, match=r"input train: there is no s3://.*/absent\.csv"):
        fetch_inputs({"train": f"s3://{bucket}/absent.csv"}, tmp_path / "inputs")


def test_no_inputs_make_no_folder(tmp_path):
    assert fetch_inputs({"train": "/data/train.csv"}, tmp_path / "inputs") == {"train": "/data/train.csv"}
    assert not (tmp_path / "inputs").exists()


@pytest.mark.parametrize("key", ["a/../../etc/passwd", "a/..", "a//b"])
def test_no_address_leads_out_of_the_folder(key, bucket, tmp_path):
    with pytest.raises(InputError):
        fetch_inputs({"train": f"s3://{bucket}/{key}"}, tmp_path / "inputs")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
