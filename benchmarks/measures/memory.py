"""Memory of the embedded Airflow at rest: the proportional set size (PSS) of each of its processes."""

import time
from typing import Any

import psutil
from rich.table import Table

from hpo_tasks.flow.embedded.sessions import members, read_sessions
from tests.flow.embedded_airflow import EmbeddedAirflow

REST_S = 40.0
"""The parent of local jobs ends after 30 s without one."""


def measure(started: EmbeddedAirflow, *, quick: bool) -> dict[str, Any]:
    """MiB of each process, after some seconds without work. Shared pages are divided among those that share them."""
    if not quick:
        time.sleep(REST_S)
    found = [("supervisor", started.supervisor())]
    for session in read_sessions(started.home.parts):
        found += [(session.name, process) for process in members(session)]
    rows = [_row(part, process) for part, process in found]
    return {"total_mib": sum(row["pss_mib"] for row in rows), "processes": rows}


def table(found: dict[str, Any]) -> Table:
    """One row a process, and their sum."""
    shown = Table(title="The embedded Airflow at rest")
    shown.add_column("part")
    shown.add_column("process")
    shown.add_column("PSS MiB", justify="right")
    for row in found["processes"]:
        shown.add_row(row["part"], row["process"], f"{row['pss_mib']:,}")
    shown.add_section()
    shown.add_row("all", "", f"{found['total_mib']:,}")
    return shown


def _row(part: str, process: psutil.Process) -> dict[str, Any]:
    command = " ".join(process.cmdline()).strip().rpartition("/")[2]
    return {
        "part": part,
        "process": command or process.name(),
        "pss_mib": process.memory_full_info().pss >> 20,
    }
