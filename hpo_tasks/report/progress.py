"""How far a running study is: a pure computation over its trials, and how that looks on a terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hpo_tasks.report import text
from hpo_tasks.report.leaderboard import values_text
from hpo_tasks.spec import StudySpec
from hpo_tasks.study import summary
from hpo_tasks.study.records import TrialRecord, TrialState

STATES: tuple[TrialState, ...] = ("complete", "pruned", "failed", "running", "waiting")
BAR_WIDTH = 40
PARAMS_SHOWN = 240


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a study is.

    Attributes:
        rounds_done: rounds whose trials are all finished; rounds_expected: as many as the budget takes.
        recorded: finished trials; budget: how many there will be.
        counts: trials by state.
        best: the best trial so far, or the Pareto front.
        left_s: estimated seconds to the last trial's end, None before the first trial has ended.
    """

    rounds_done: int
    rounds_expected: int
    recorded: int
    budget: int
    counts: Mapping[TrialState, int]
    best: tuple[TrialRecord, ...]
    left_s: float | None


def progress(spec: StudySpec, trials: Sequence[TrialRecord], now: datetime) -> Progress:
    """How far the study is at `now` (aware)."""
    rounds = {trial.round for trial in trials}
    open_rounds = {trial.round for trial in trials if not trial.finished}
    recorded = sum(trial.finished for trial in trials)
    left = max(0, spec.budget.trials - len(trials))
    return Progress(
        rounds_done=len(rounds - open_rounds),
        rounds_expected=len(rounds) + -(-left // spec.batch_size),
        recorded=recorded,
        budget=spec.budget.trials,
        counts=summary.counts(trials),
        best=tuple(summary.best(spec.objective, trials)),
        left_s=time_left_s(spec, trials, now),
    )


def time_left_s(spec: StudySpec, trials: Sequence[TrialRecord], now: datetime) -> float | None:
    """Seconds until the last trial ends: what a finished round took, else trial durations in waves of `slots`.

    A finished round's time holds everything between two rounds (Airflow's scheduling, ask, tell). Before there is
    one, a round is taken for as many waves of the median trial as its batch needs slots.
    """
    durations = [trial.duration_s for trial in trials if trial.finished and trial.duration_s is not None]
    if not durations:
        return None
    waves = -(-min(spec.batch_size, spec.budget.trials) // spec.backend.slots)
    per_round = median(_round_durations(trials) or [waves * median(durations)])
    rounds_to_come = -(-max(0, spec.budget.trials - len(trials)) // spec.batch_size)
    begun = [trial.asked_at for trial in trials if not trial.finished and trial.asked_at is not None]
    current = max(0.0, per_round - (now - min(begun)).total_seconds()) if begun else 0.0
    return rounds_to_come * per_round + current


def line(state: Progress) -> str:
    """The progress in one line of plain text, without the time left: it changes only when something happened."""
    parts = [
        f"rounds {state.rounds_done}/{state.rounds_expected}",
        f"trials {state.recorded}/{state.budget} ({_counts(state)})",
    ]
    if state.best:
        parts.append(f"best {_best(state)}")
    return " · ".join(parts)


def left(state: Progress) -> str:
    """`about 3 min 05 s left`, `concluding` after the last trial, "" before anything is known."""
    if state.recorded >= state.budget:
        return "concluding"
    if state.left_s is None:
        return ""
    return f"about {text.duration(max(1, round(state.left_s)))} left"


def panel(title: str, state: Progress | None, note: str = "") -> RenderableType:
    """The live view.

    Args:
        title: what runs, for how long; safe text.
        state: None before the study exists.
        note: what a person should know now, e.g. that a task waits for its retry; safe text.
    """
    parts: list[RenderableType] = [Text(title, style="bold")]
    if state is None:
        parts.append(Text("preparing", style="dim"))
    else:
        bar = Table.grid(padding=(0, 1))
        share = ProgressBar(total=state.budget, completed=state.recorded, width=BAR_WIDTH)
        bar.add_row(share, Text(f"{state.recorded}/{state.budget} trials"), Text(left(state), style="dim"))
        parts.append(bar)
        parts.append(Text(f"rounds {state.rounds_done}/{state.rounds_expected} · {_counts(state)}"))
        if state.best:
            parts.append(Text(f"best {_best(state)}", style="green"))
            parts.append(Text(text.params(state.best[0].params, limit=PARAMS_SHOWN), style="dim"))
    if note:
        parts.append(Text(note, style="yellow"))
    return Group(*parts)


def _counts(state: Progress) -> str:
    return (
        ", ".join(f"{state.counts[name]} {name}" for name in STATES if state.counts.get(name)) or "none yet"
    )


def _best(state: Progress) -> str:
    if len(state.best) > 1:
        return f"{len(state.best)} trials on the Pareto front"
    return f"{values_text(state.best[0])} (trial {state.best[0].number})"


def _round_durations(trials: Sequence[TrialRecord]) -> list[float]:
    """Seconds of each finished round: to the next round's start, of the last one to its last record.

    A round that was left for another day and taken up again is no measure; the median bears a few.
    """
    starts: dict[int, datetime] = {}
    ends: dict[int, datetime] = {}
    unfinished = {trial.round for trial in trials if not trial.finished}
    for trial in trials:
        if trial.asked_at is not None:
            starts[trial.round] = min(starts.get(trial.round, trial.asked_at), trial.asked_at)
        if trial.recorded_at is not None:
            ends[trial.round] = max(ends.get(trial.round, trial.recorded_at), trial.recorded_at)
    return [
        (starts.get(number + 1, ends[number]) - start).total_seconds()
        for number, start in starts.items()
        if number not in unfinished and number in ends
    ]
