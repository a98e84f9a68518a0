"""Reading a table into a pandas frame. What cannot be read becomes one sentence that names the file."""

import lzma
import tempfile
import warnings
import zlib
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pandas.errors import ParserWarning

from hpo_tasks.errors import InputError
from hpo_tasks.trial.objects import open_objects

SKLEARN_DATA_SETS = ("breast_cancer", "diabetes", "digits", "iris", "wine")
"""Data sets that are part of scikit-learn's package: no download. Their target column is `target`."""

_CSV = (".csv", ".csv.gz")
_PARQUET = (".parquet", ".pq")
_UNREADABLE = (OSError, ValueError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException, ParserWarning)


def read_table(uri: str) -> pd.DataFrame:
    """Read a whole table.

    Args:
        uri: path, `file://` or `s3://` address of a CSV (`.csv`, `.csv.gz`) or Parquet file, a folder of Parquet
            files, or `sklearn:<name>`.

    Returns:
        One row per row of the table, with distinct column names and an index of its own.

    Raises:
        InputError: the table does not exist, cannot be read, or has two columns of one name.
        UnavailableError, RefusedError: the object store does not answer, or refuses.
    """
    if uri.startswith("sklearn:"):
        return _read_sklearn(uri.removeprefix("sklearn:"))
    if uri.startswith("s3://"):
        return _read_s3(uri)
    if uri.startswith("file://"):
        return _read_path(Path(unquote(urlsplit(uri).path)), uri)
    if "://" in uri:
        raise InputError(f"table {uri}: give a path, file://…, s3://… or sklearn:<name>")
    return _read_path(Path(uri), uri)


def _read_sklearn(name: str) -> pd.DataFrame:
    if name not in SKLEARN_DATA_SETS:
        raise InputError(f"table sklearn:{name}: unknown; there are {', '.join(SKLEARN_DATA_SETS)}")
    from sklearn import datasets  # noqa: PLC0415 - only studies on these data sets pay for it

    return getattr(datasets, f"load_{name}")(as_frame=True).frame


def _read_s3(uri: str) -> pd.DataFrame:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, Path(key).name)
        if not open_objects(f"s3://{bucket}").download(key, path):
            raise InputError(f"table {uri}: there is no such object")
        return _read_path(path, uri)


def _read_path(path: Path, shown: str) -> pd.DataFrame:
    name = path.name.lower()
    try:
        if path.is_dir() or name.endswith(_PARQUET):
            frame = _read_parquet(path)
        elif name.endswith(_CSV):
            frame = _read_csv(path)
        else:
            raise InputError(f"table {shown}: the name must end in .csv, .csv.gz or .parquet")
    except FileNotFoundError:
        raise InputError(f"table {shown}: there is no such file") from None
    except _UNREADABLE as error:
        raise InputError(f"table {shown}: cannot be read: {_first_line(error)}") from None
    names = [str(column) for column in frame.columns]
    twice = sorted({column for column in names if names.count(column) > 1})
    if twice:
        raise InputError(f"table {shown}: column {twice[0]!r} is there twice; rename or remove one")
    return frame.set_axis(names, axis="columns").reset_index(drop=True)


def _read_parquet(path: Path) -> pd.DataFrame:
    return pq.read_table(path).to_pandas()


def _read_csv(path: Path) -> pd.DataFrame:
    with warnings.catch_warnings():
        # pandas would cut off what stands right of the last named column, or take the first column as an index.
        warnings.simplefilter("error", ParserWarning)
        # The header is read as data: pandas renames the second of two equal columns, and a copy of the target
        # would become a feature.
        header = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False)
        frame = pd.read_csv(path, index_col=False, low_memory=False)
    names = [written or given for written, given in zip(header.iloc[0], frame.columns, strict=True)]
    return frame.set_axis(names, axis="columns")


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
