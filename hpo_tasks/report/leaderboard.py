"""Tables of trials and studies for the terminal."""

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from hpo_tasks.report import text
from hpo_tasks.study import summary
from hpo_tasks.study.records import StudyHeader, StudyRecord, TrialRecord

TOP = 10
PARAMS_SHOWN = 160
ID_SHOWN = 10
"""Characters of a study's id in tables and messages: 50 bits."""

STYLES: Mapping[str, str] = {"complete": "green", "failed": "red", "stopped": "yellow", "pruned": "yellow"}


def leaderboard(header: StudyHeader, trials: Sequence[TrialRecord], *, top: int = TOP) -> Table:
    """The best trials, best first: rank, number, values, attempts, duration, parameters.

    With several objectives `*` marks the Pareto front; a trial that misses a threshold has no rank.
    """
    front = {trial.number for trial in summary.best(header.objectives, trials)}
    several = len(header.objectives) > 1
    table = _table()
    table.add_column("rank", justify="right")
    table.add_column("trial", justify="right")
    for objective in header.objectives:
        table.add_column(Text(text.plain(objective.metric)), justify="right")
    table.add_column("tries", justify="right")
    table.add_column("took", justify="right")
    table.add_column("parameters", ratio=1, overflow="fold")
    for rank, trial in enumerate(summary.leaderboard(header.objectives, trials, top), start=1):
        mark = "*" if several and trial.number in front else ""
        table.add_row(
            f"{rank}{mark}" if trial.feasible else "-",
            str(trial.number),
            *(_value(trial, objective.metric) for objective in header.objectives),
            str(trial.attempts),
            _took(trial),
            Text(text.params(trial.params, limit=PARAMS_SHOWN)),
        )
    return table


def trials_table(header: StudyHeader, trials: Sequence[TrialRecord]) -> Table:
    """All trials in the order of round and slot, with what made them fail."""
    table = _table()
    table.add_column("trial", justify="right")
    table.add_column("key", justify="right")
    table.add_column("state")
    for objective in header.objectives:
        table.add_column(Text(text.plain(objective.metric)), justify="right")
    table.add_column("tries", justify="right")
    table.add_column("took", justify="right")
    table.add_column("parameters", ratio=1, overflow="fold")
    for trial in trials:
        details = Text(text.params(trial.params, limit=PARAMS_SHOWN))
        if trial.state == "failed":
            details.append(f"\n{text.plain(_failure(trial))}", style="red")
        table.add_row(
            str(trial.number),
            f"{trial.round}.{trial.slot}",
            Text(trial.state, style=STYLES.get(trial.state, "")),
            *(_value(trial, objective.metric) for objective in header.objectives),
            str(trial.attempts),
            _took(trial),
            details,
        )
    return table


def studies_table(studies: Sequence[StudyRecord]) -> Table:
    """Studies, one row each; the id is long enough to be given to other commands."""
    table = _table()
    table.add_column("study", no_wrap=True)
    table.add_column("state")
    table.add_column("trials", justify="right")
    table.add_column("best", justify="right")
    table.add_column("started (UTC)", no_wrap=True)
    table.add_column("name and DAG", ratio=1, overflow="fold")
    for study in studies:
        name = Text(text.plain(study.header.name))
        name.append(f"\n{text.plain(study.header.dag_id)}", style="dim")
        table.add_row(
            study.study_id[:ID_SHOWN],
            Text(study.state, style=STYLES.get(study.state, "")),
            str(sum(study.counts.values())),
            "-" if study.best_value is None else text.number(study.best_value),
            text.moment(study.created_at)[:16],
            name,
        )
    return table


def parameters_table(trial: TrialRecord) -> Table:
    """Every parameter of one configuration with its full value."""
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in trial.params.items():
        shown = repr(value) if isinstance(value, float) else text.scalar(value)
        table.add_row(Text(f"  {text.plain(name)}"), Text(shown))
    return table


def failures_table(trials: Sequence[TrialRecord]) -> Table:
    """Failed trials by class and reason, the commonest first."""
    counts = Counter((str(trial.cls or "?"), trial.reason) for trial in trials if trial.state == "failed")
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right")
    table.add_column()
    table.add_column(overflow="fold")
    for (cls, reason), count in counts.most_common():
        table.add_row(f"  {count}", Text(cls, style="red"), Text(text.plain(reason)))
    return table


def values_text(trial: TrialRecord) -> str:
    """`rmse 0.123 · latency_ms 41`."""
    values = trial.values or {}
    return " · ".join(f"{text.plain(name)} {text.number(value)}" for name, value in values.items())


def _table() -> Table:
    return Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True, header_style="bold")


def _value(trial: TrialRecord, metric: str) -> str:
    value = (trial.values or {}).get(metric)
    return "-" if value is None else text.number(value)


def _took(trial: TrialRecord) -> str:
    return "-" if trial.duration_s is None else text.duration(trial.duration_s)


def _failure(trial: TrialRecord) -> str:
    return f"{trial.cls or '?'}: {trial.reason}" if trial.reason else str(trial.cls or "?")
