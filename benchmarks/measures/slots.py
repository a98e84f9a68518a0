"""Speed-up with 1, 2, 4 and 8 slots on trials that only wait for a second."""

from typing import Any

from rich.table import Table

from benchmarks.measures.airflow_run import NOOP, run
from tests.flow.airflow_under_test import merge
from tests.flow.embedded_airflow import EmbeddedAirflow

SLOTS = (1, 2, 4, 8)
SECONDS = 1.0
MOST = max(SLOTS)


def measure(started: EmbeddedAirflow, *, quick: bool) -> dict[str, Any]:
    """Wall seconds by number of slots.

    Args:
        started: an Airflow that is set up for `MOST` processors; the trials need none.
        quick: fewer trials, and not all numbers of slots.
    """
    trials = 8 if quick else 16
    rows = []
    for slots in (1, MOST) if quick else SLOTS:
        changes = {
            "search": {"seconds": {"type": "fixed", "value": SECONDS}},
            "trial": {"entry_point": "wait:objective"},
            "batch_size": trials,
            "budget": {"trials": trials},
            "backend": {"slots": slots},
        }
        measured = run(started, f"wait_{slots}", **merge(dict(NOOP), changes))
        rows.append(
            {"slots": slots, "wall_s": round(measured.wall_s, 3), "train_s": round(measured.train_s, 3)}
        )
    return {"trials": trials, "seconds": SECONDS, "rows": rows}


def table(found: dict[str, Any]) -> Table:
    """One row for each number of slots."""
    shown = Table(title=f"{found['trials']} trials that wait {found['seconds']:g} s")
    for column in ("slots", "wall s", "ask's end to tell's start s", "speed-up of that", "ideal s"):
        shown.add_column(column, justify="right")
    one = found["rows"][0]["train_s"]
    for row in found["rows"]:
        ideal = found["trials"] * found["seconds"] / row["slots"]
        speed_up = f"{one / row['train_s']:.2f}"
        shown.add_row(
            str(row["slots"]), f"{row['wall_s']:.1f}", f"{row['train_s']:.1f}", speed_up, f"{ideal:.1f}"
        )
    return shown
