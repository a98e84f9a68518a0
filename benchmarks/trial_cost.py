"""Where a trial's time goes: no-op trials on a warm embedded Airflow, phase by phase.

.venv/bin/python -m benchmarks.trial_cost            # 64 trials, 2 slots
.venv/bin/python -m benchmarks.trial_cost 16         # fewer
"""

import sys

from rich.console import Console
from rich.table import Table

from benchmarks.measures.airflow_run import NOOP, airflow, run
from benchmarks.measures.trial_phases import PHASES, WAITING, Phase, phases

SLOTS = 2
TRIALS = 64


def main() -> None:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else TRIALS
    with airflow() as started:
        measured = run(started, "noop", batch_size=trials, budget={"trials": trials}, **NOOP)
        found = phases(measured)
    console = Console(width=110)
    console.print(phase_table(found))
    ask, tell = measured.of("ask")[0], measured.of("tell")[0]
    console.print(
        f"{trials} trials, {SLOTS} slots: {measured.wall_s:.2f} s for the run, {measured.wall_s / trials:.3f} s per "
        f"trial; from ask's end to tell's start {measured.train_s:.2f} s, {measured.train_s / trials:.3f} s per trial"
    )
    console.print(
        f"run start to ask's end {(ask.ended or 0) - measured.began:.2f} s; tell {(tell.ended or 0) - (tell.began or 0):.2f} s; "
        f"tell's end to the run's end {measured.ended - (tell.ended or 0):.2f} s"
    )


def phase_table(found: list[Phase]) -> Table:
    """The phases as a table; the last row is their sum, the life of a train task."""
    table = Table(title="Where a no-op trial's time goes (seconds)")
    for column in ("phase", "from the end of the phase before"):
        table.add_column(column, no_wrap=True)
    for column in ("mean", "median", "max", "share"):
        table.add_column(column, justify="right", no_wrap=True)
    for phase in found:
        seconds = [f"{value:.3f}" for value in (phase.mean_s, phase.median_s, phase.max_s)]
        table.add_row(phase.name, PHASES[phase.name], *seconds, f"{phase.share:.0%}")
    table.add_section()
    table.add_row("all", "", f"{sum(phase.mean_s for phase in found):.3f}")
    work_s = sum(phase.mean_s for phase in found if phase.name != WAITING)
    table.add_row("without the wait", "", f"{work_s:.3f}")
    return table


if __name__ == "__main__":
    main()
