"""`hpo data`: the dated input files of the examples."""

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from hpo_tasks.errors import InputError
from hpo_tasks.flow.embedded.home import embedded_home

DEFAULT_DAYS = 3


def data_folder() -> Path:
    """`HPO_DATA`, else the embedded home's."""
    named = os.environ.get("HPO_DATA")
    return Path(named).absolute() if named else embedded_home().data


def days_wanted(start: date | None, end: date | None, days: int | None, today: date) -> tuple[date, date]:
    """First and last day: by default the three before today, which last night's data interval needs.

    Raises:
        InputError: the first day is after the last, or `days` contradicts them.
    """
    if start is not None and end is not None and days is not None:
        raise InputError("--days: give it with --start or with --end, not with both")
    if start is not None and days is not None:
        return start, start + timedelta(days=days - 1)
    last = end or today - timedelta(days=1)
    first = start or last - timedelta(days=(days or DEFAULT_DAYS) - 1)
    if first > last:
        raise InputError(f"--start: {first} is after the last day, {last}")
    return first, last


def house_prices(start: date | None, end: date | None, days: int | None) -> list[Path]:
    """Write the partitions; returns their paths."""
    first, last = days_wanted(start, end, days, datetime.now(UTC).date())
    from hpo_tasks.examples.house_prices import generate  # noqa: PLC0415 - numpy, pyarrow

    return list(generate(data_folder(), first, last))
