"""Airflow's parts as sessions: what a part starts stays in its session, whatever it calls itself.

Neither names nor environments tell: Airflow's processes overwrite both. Trials have sessions of their own and are not
touched here.
"""

import contextlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Session:
    """One started part: its name, the process that leads its session, and when that one began (`beginning`)."""

    name: str
    pid: int
    created: str


def write_sessions(path: Path, sessions: Iterable[Session]) -> None:
    """Note down the running parts, for the next supervisor if this one is killed."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps([asdict(session) for session in sessions]))
    temporary.replace(path)


def read_sessions(path: Path) -> list[Session]:
    """The parts that were noted down last; none if there is no such note."""
    try:
        return [Session(**document) for document in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError):
        return []


def beginning(pid: int) -> str:
    """When a process began, so that its number can be told from the same number given away again later.

    In clock ticks of this boot where the system says so: the time of day changes when somebody sets the clock.

    Raises:
        psutil.NoSuchProcess: there is none.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        ticks = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19].decode()
    except (OSError, IndexError):  # no such process, or not Linux
        return f"{psutil.Process(pid).create_time():.0f}"
    return f"{boot} {ticks}"


def members(session: Session) -> list[psutil.Process]:
    """Living processes of the session; none if its number belongs to somebody else by now."""
    with contextlib.suppress(psutil.NoSuchProcess):
        if beginning(session.pid) != session.created:
            return []
    return [process for process in psutil.process_iter() if _is_in(process, session)]


def kill(session: Session) -> None:
    """Kill what is left of the session.

    SIGKILL, because a task process that is asked politely would stop the trial that its retry is about to adopt.
    """
    victims = members(session)
    for process in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(victims, timeout=5)


def _is_in(process: psutil.Process, session: Session) -> bool:
    try:
        return os.getsid(process.pid) == session.pid and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return False
