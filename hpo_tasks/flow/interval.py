"""The data interval of a run that Airflow gave none: REST with `logical_date: null`, or triggered by an asset."""

from datetime import datetime

from airflow.timetables.interval import CronDataIntervalTimetable


def interval_of(
    given: tuple[datetime, datetime] | None, run_after: datetime, schedule: str | None, timezone: str
) -> tuple[datetime, datetime]:
    """The run's data interval: Airflow's, else the last complete one before `run_after`, else that point in time."""
    if given is not None:
        return given
    if schedule is None:
        return run_after, run_after
    import pendulum

    last = CronDataIntervalTimetable(schedule, timezone=timezone).infer_manual_data_interval(
        run_after=pendulum.instance(run_after)
    )
    return last.start, last.end
