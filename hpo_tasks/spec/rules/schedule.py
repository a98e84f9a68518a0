"""When a study runs: schedule, time zone, start date."""

import re
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo, available_timezones

from hpo_tasks.errors import Problem
from hpo_tasks.spec.model import StudySpec
from hpo_tasks.spec.sentences import listed, nearest, shown

PRESETS = ("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly")
_FIELDS = 5
_CRON = re.compile(r"[0-9A-Za-z*/,#?-]+")
_CRON_EXAMPLE = 'write five fields such as "0 2 * * *" (minute, hour, day of month, month, day of week)'


def schedule_problems(spec: StudySpec) -> Iterator[Problem]:
    """Schedule, time zone and start date, and what they need of each other."""
    if spec.schedule is not None and (message := _schedule_misfit(spec.schedule)):
        yield Problem("schedule", message)
    if message := _timezone_misfit(spec.timezone):
        yield Problem("timezone", message)
    if spec.start_date is not None and (message := _date_misfit(spec.start_date)):
        yield Problem("start_date", message)
    if spec.catchup and (spec.schedule is None or spec.start_date is None):
        yield Problem("catchup", "needs a schedule and a start_date: it runs every interval since then")


def _schedule_misfit(schedule: str) -> str:
    if schedule.startswith("@"):
        return "" if schedule in PRESETS else f"must be one of {listed(PRESETS)}, got {shown(schedule)}"
    fields = schedule.split()
    if len(fields) != _FIELDS:
        return f"must have {_FIELDS} fields, got {len(fields)}; {_CRON_EXAMPLE}"
    # croniter also takes R and H: a time of its own choice, another one in each process.
    odd = next(
        (field for field in fields if not _CRON.fullmatch(field) or re.search(r"\b[RrHh]\b", field)), None
    )
    if odd is not None:
        return f"has the field {shown(odd)}; {_CRON_EXAMPLE}"
    return _cron_misfit(schedule)


def _cron_misfit(schedule: str) -> str:
    """Asks croniter, which Airflow itself reads schedules with."""
    from croniter import CroniterError, croniter  # type: ignore[import-untyped]  # noqa: PLC0415 - 40 ms

    try:
        croniter(schedule, datetime(2026, 1, 1)).get_next()  # noqa: DTZ001 - cron fields have no zone
    except (CroniterError, ValueError, KeyError, AttributeError, OverflowError):
        return f"{shown(schedule)} never comes; {_CRON_EXAMPLE}"
    return ""


def _timezone_misfit(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # not found, a folder, or not a name at all
        near = nearest(name, available_timezones())
        asked = f", did you mean `{near}`?" if near else ": write a name such as Europe/Berlin"
        return f"unknown time zone {shown(name)}{asked}"
    return ""


def _date_misfit(text: str) -> str:
    try:
        year = datetime.fromisoformat(text).year
    except ValueError:
        return f"must be a date such as 2026-01-31, got {shown(text)}"
    return "" if 1970 <= year <= 2100 else f"must be between 1970 and 2100, got {shown(text)}"
