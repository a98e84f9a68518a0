"""Reading tables: every way in, and what is wrong with a table in one sentence."""

import gzip
from pathlib import Path

import pandas as pd
import pytest

from hpo_tasks.errors import InputError
from hpo_tasks.trial.trainers.tables import SKLEARN_DATA_SETS, read_table


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame({"a": [1, 2, 3], "b": [0.5, None, 1.5], "c": ["x", None, "ünï"], "target": [1, 0, 1]})


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
def test_a_file_by_path_and_by_address(suffix, frame, write_table):
    path = write_table(frame, suffix)
    for uri in (str(path), path.as_uri()):
        pd.testing.assert_frame_equal(frame, read_table(uri))


def test_a_folder_of_parquet_files_is_one_table(frame, tmp_path):
    for number in range(3):
        frame.to_parquet(tmp_path / f"part{number}.parquet")
    assert len(read_table(str(tmp_path))) == 9


def test_a_path_with_blanks_and_percent(frame, tmp_path):
    path = tmp_path / "a b%20c.csv"
    frame.to_csv(path, index=False)
    assert len(read_table(str(path))) == len(read_table(path.as_uri())) == 3


def test_a_table_on_s3(frame, s3, write_table, monkeypatch):
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    bucket = s3.new_bucket()
    s3.shared_client.upload_file(str(write_table(frame, "parquet")), bucket, "2026-03-01/train.parquet")

    pd.testing.assert_frame_equal(frame, read_table(f"s3://{bucket}/2026-03-01/train.parquet"))
    with pytest.raises(InputError, match="there is no such object"):
        read_table(f"s3://{bucket}/2026-03-02/train.parquet")


@pytest.mark.parametrize("name", SKLEARN_DATA_SETS)
def test_the_data_sets_of_scikit_learn_have_a_target(name):
    assert "target" in read_table(f"sklearn:{name}").columns


def test_an_index_that_pandas_wrote_into_parquet_is_no_column(frame, tmp_path):
    frame.set_axis([7, 8, 9]).to_parquet(tmp_path / "t.parquet")
    assert list(read_table(str(tmp_path / "t.parquet")).columns) == ["a", "b", "c", "target"]


def test_columns_of_a_csv_file_keep_their_type_when_it_changes_late(tmp_path):
    path = tmp_path / "late.csv"
    path.write_text("a,target\n" + "1,1\n" * 300_000 + "1.5,0\n")
    assert {name: str(kind) for name, kind in read_table(str(path)).dtypes.items()} == {
        "a": "float64",
        "target": "int64",
    }


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.csv", None, "there is no such file"),
        ("missing.parquet", None, "there is no such file"),
        ("table.xlsx", b"PK", r"must end in \.csv, \.csv\.gz or \.parquet"),
        ("empty.csv", b"", "cannot be read: No columns to parse from file"),
        ("empty.parquet", b"", "cannot be read: .*Parquet file size is 0 bytes"),
        ("text.parquet", b"a,b\n1,2\n", "cannot be read: "),
        ("binary.csv", b"a,b\n\xff\xfe,2\n", "cannot be read: .*utf-8"),
        ("ragged.csv", b"a,b\n1,2\n1,2,3,4\n", "cannot be read: .*Expected 2 fields"),
        ("wide.csv", b"a,b\n1,2,3\n4,5,6\n", "cannot be read: "),
        ("twice.csv", b"a,target,target\n1,2,3\n", "column 'target' is there twice"),
        ("plain.csv.gz", b"a,b\n1,2\n", "cannot be read: .*[gG]zip"),
        ("cut.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 999)[:30], "cannot be read: "),
    ],
)
def test_what_cannot_be_read_is_one_sentence_that_names_the_file(name, content, message, tmp_path: Path):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_table(str(path))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("uri", ["https://example.org/t.csv", "sklearn:boston"])
def test_addresses_that_are_not_tables(uri):
    with pytest.raises(InputError, match=uri):
        read_table(uri)
