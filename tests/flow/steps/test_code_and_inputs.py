"""The user's folder and data: archived the same way each time, and checked before anything starts."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from hpo_tasks.errors import InputError, RefusedError, SpecError
from hpo_tasks.flow.steps.code import archive
from hpo_tasks.flow.steps.inputs import bring_inputs, fingerprint_inputs
from hpo_tasks.trial.s3_objects import new_client


def no_s3():
    raise AssertionError("S3 was asked for a local input")


def members(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: member for member in tar}


def test_the_archive_depends_on_the_files_alone(tmp_path):
    """Other times and owners, same bytes; version control and caches are left out."""
    for name in ("a", "b"):
        folder = tmp_path / name
        (folder / "pkg").mkdir(parents=True)
        (folder / "pkg" / "träin file.py").write_text("print()")
        (folder / ".git").mkdir()
        (folder / ".git" / "config").write_text("secret")
    os.utime(tmp_path / "b" / "pkg" / "träin file.py", (1, 1))
    assert archive(tmp_path / "a") == archive(tmp_path / "b")
    assert list(members(archive(tmp_path / "a"))) == ["pkg/träin file.py"]


def test_links_are_followed_only_inside(tmp_path):
    """A link out of the folder does not carry other files of the machine away."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "real.py").write_text("1")
    (folder / "alias.py").symlink_to("real.py")
    (tmp_path / "outside").write_text("secret")
    (folder / "leak").symlink_to(tmp_path / "outside")
    found = members(archive(folder))
    assert sorted(found) == ["alias.py", "real.py"]
    assert found["alias.py"].isfile()
    assert found["alias.py"].size == 1


def test_a_missing_folder_is_named():
    """One message with the field."""
    with pytest.raises(SpecError, match=r"trial\.code\.dir: /no/such is not a folder"):
        archive(Path("/no/such"))


def test_all_missing_inputs_are_named_at_once(tmp_path):
    """Not the first one alone."""
    with pytest.raises(SpecError) as caught:
        fingerprint_inputs({"a": str(tmp_path / "a"), "b": "file:///no/such", "c": "sklearn:iris"}, no_s3)
    assert [problem.field for problem in caught.value.problems] == ["trial.inputs.a", "trial.inputs.b"]


def test_a_fingerprint_follows_the_content(tmp_path):
    """The same content, the same fingerprint; another, another."""
    path = tmp_path / "data.csv"
    path.write_text("a")
    first = fingerprint_inputs({"train": str(path)}, no_s3)
    os.utime(path, (1, 1))
    assert fingerprint_inputs({"train": f"file://{path}"}, no_s3) == first
    path.write_text("b")
    assert fingerprint_inputs({"train": str(path)}, no_s3) != first


def test_inputs_on_s3_are_brought_once(s3, tmp_path):
    """A local trial reads a file; a second trial of the host finds it there."""
    bucket = s3.new_bucket()
    s3.client().put_object(Bucket=bucket, Key="data/train.csv", Body=b"a,b\n")
    inputs = {"train": f"s3://{bucket}/data/train.csv", "local": "/data"}
    prints = fingerprint_inputs({"train": inputs["train"]}, s3.client)
    brought = bring_inputs(inputs, prints, tmp_path, s3.client)
    assert Path(brought["train"]).read_text() == "a,b\n"
    assert brought["local"] == "/data"
    assert bring_inputs(inputs, prints, tmp_path, no_s3) == brought


def test_an_input_that_changed_since_it_was_pinned_is_not_taken(s3, tmp_path):
    """Trials on another host would compare with those on the old data."""
    bucket = s3.new_bucket()
    s3.client().put_object(Bucket=bucket, Key="train.csv", Body=b"old")
    inputs = {"train": f"s3://{bucket}/train.csv"}
    prints = fingerprint_inputs(inputs, s3.client)
    s3.client().put_object(Bucket=bucket, Key="train.csv", Body=b"new")
    with pytest.raises(InputError, match="has changed"):
        bring_inputs(inputs, prints, tmp_path, s3.client)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_input_that_is_gone_or_has_no_room_is_named(s3, tmp_path):
    """What a person can mend is one message, whichever library raises it."""
    bucket = s3.new_bucket()
    with pytest.raises(RefusedError, match=f"s3://{bucket}/gone"):
        bring_inputs({"train": f"s3://{bucket}/gone"}, {}, tmp_path, s3.client)
    (tmp_path / "file").write_text("")
    with pytest.raises(RefusedError, match="not a folder"):
        bring_inputs({"train": f"s3://{bucket}/gone"}, {}, tmp_path / "file", s3.client)


def test_missing_credentials_are_named_at_once(monkeypatch, tmp_path):
    """With the field, and not after an hour of retries."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(SpecError, match=r"trial\.inputs\.train: .*credentials"):
        fingerprint_inputs({"train": "s3://bucket/key"}, new_client)


def test_a_missing_object_on_s3_is_named(s3):
    """Refused before any trial starts."""
    with pytest.raises(SpecError, match=r"trial\.inputs\.train.*no such object"):
        fingerprint_inputs({"train": f"s3://{s3.new_bucket()}/none"}, s3.client)
