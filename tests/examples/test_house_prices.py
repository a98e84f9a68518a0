"""The generated tables: the same bytes for the same day, another market on another day."""

from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hpo_tasks.errors import InputError
from hpo_tasks.examples.house_prices import generate, table_of

DAY = date(2026, 3, 1)


def test_one_file_a_day_with_both_ends_and_nothing_else(tmp_path):
    files = generate(tmp_path, DAY, date(2026, 3, 3), rows=50)
    days = ["2026-03-01", "2026-03-02", "2026-03-03"]
    assert files == [tmp_path / "house_prices" / day / "train.parquet" for day in days]
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == files


def test_the_same_day_gives_the_same_bytes_and_another_day_does_not(tmp_path):
    [first, other] = generate(tmp_path / "a", DAY, date(2026, 3, 2), rows=2000)
    [again] = generate(tmp_path / "b", DAY, DAY, rows=2000)
    assert first.read_bytes() == again.read_bytes()
    assert first.read_bytes() != other.read_bytes()


def test_an_existing_file_is_replaced(tmp_path):
    [path] = generate(tmp_path, DAY, DAY, rows=10)
    generate(tmp_path, DAY, DAY, rows=20)
    assert pq.read_metadata(path).num_rows == 20


def test_eighty_features_of_every_kind_with_gaps_and_a_price_without():
    table = table_of(DAY, 2000)
    kinds = {pa.types.is_string: 10, pa.types.is_boolean: 8, pa.types.is_integer: 10, pa.types.is_float32: 30}
    assert table.num_columns == 81
    assert table.column_names[-1] == "price"
    for is_kind, least in kinds.items():
        assert sum(map(is_kind, table.schema.types)) >= least
    assert sum(column.null_count > 0 for column in table.columns) > 8
    assert table["price"].null_count == 0
    assert min(table["price"].to_pylist()) > 10_000


def test_the_full_day_is_large_enough_for_80_000_rows_of_training():
    assert table_of(DAY).num_rows * 0.8 >= 80_000


def test_the_market_drifts():
    """Districts do not keep their order of prices: what was learnt some years ago is no longer right."""

    def ranking(day: date) -> list[str]:
        means = table_of(day, 20_000).group_by("district").aggregate([("price", "mean")])
        return means.sort_by("price_mean")["district"].to_pylist()

    assert ranking(date(2025, 1, 1)) != ranking(date(2028, 1, 1))


@pytest.mark.parametrize(
    ("end", "rows", "message"),
    [
        (date(2026, 2, 28), 10, "end: 2026-02-28 is before start 2026-03-01"),
        (DAY, 0, "rows: must be at least 1"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(end, rows, message, tmp_path):
    with pytest.raises(InputError, match=message):
        generate(tmp_path, DAY, end, rows=rows)
    assert list(tmp_path.iterdir()) == []
