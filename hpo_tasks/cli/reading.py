"""`hpo studies`, `status`, `trials` and `best`: what the study database says, as a table, JSON or CSV."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from rich.text import Text

from hpo_tasks.cli.outcomes import with_outcomes
from hpo_tasks.cli.places import Places, find_study, open_ledger, store_of
from hpo_tasks.cli.terminal import print_json, say, show
from hpo_tasks.flow.steps.pin import read_pin
from hpo_tasks.report import leaderboard as tables
from hpo_tasks.report import text
from hpo_tasks.report.documents import best_document, elapsed_s, study_document, trial_document, trials_csv
from hpo_tasks.report.progress import left, line, progress
from hpo_tasks.store import Store
from hpo_tasks.study import summary
from hpo_tasks.study.records import StudyHeader, StudyRecord, TrialRecord
from hpo_tasks.trial import layout

Format = Literal["table", "json", "csv"]


def studies(where: Places, *, dag_id: str | None, limit: int, as_json: bool) -> None:
    """List studies, newest first."""
    with open_ledger(where) as ledger:
        found = ledger.studies(dag_id=dag_id)
    if as_json:
        print_json([study_document(study) for study in found[:limit]])
    elif not found:
        say("no studies" + (f" of {dag_id}" if dag_id else "") + " yet")
    else:
        show(tables.studies_table(found[:limit]))
        if len(found) > limit:
            say(f"the newest {limit} of {len(found)}; --limit shows more")


def status(where: Places, reference: str, *, as_json: bool) -> None:
    """One study: what it is, how far it is, its best so far."""
    with open_ledger(where) as ledger:
        study = ledger.study(find_study(ledger, reference))
        trials = ledger.trials(study.study_id)
    store = store_of(study.header, where)
    pin = read_pin(store, study.study_id)
    now = datetime.now(UTC)
    how_far = None
    if pin is not None and study.state == "running":
        how_far = progress(pin.spec, with_outcomes(store, study.header, trials), now)
    if as_json:
        extra = {} if how_far is None else {"budget": how_far.budget, "left_s": how_far.left_s}
        print_json({**study_document(study), **extra, "store": store.uri})
        return
    show(*_status_lines(study, store, now))
    if how_far is None:
        counted = ", ".join(f"{count} {state}" for state, count in study.counts.items()) or "none"
        show(Text(f"trials   {counted}"))
    else:
        show(Text(f"so far   {line(how_far)}"), Text(f"         {left(how_far)}".rstrip()))
    _show_best(study.header, trials, store)
    _show_failures(trials)


def trials(where: Places, reference: str, *, format: Format) -> None:  # noqa: A002 - the word users know
    """All trials of one study."""
    with open_ledger(where) as ledger:
        header = ledger.study(find_study(ledger, reference)).header
        found = ledger.trials(header.study_id)
    if format == "json":
        print_json([trial_document(header, trial) for trial in found])
    elif format == "csv":
        sys.stdout.write(trials_csv(header, found))
    else:
        show(tables.trials_table(header, found))


def best(where: Places, reference: str, *, as_json: bool) -> bool:
    """The best configuration (with several objectives, the Pareto front). Returns whether there is one."""
    with open_ledger(where) as ledger:
        header = ledger.study(find_study(ledger, reference)).header
        found = ledger.best(header.study_id)
    store = store_of(header, where)
    if as_json:
        print_json(best_documents(header, found, store))
    else:
        _show_best(header, found, store)
    if not found:
        say(f"study {header.study_id} has no best trial: none is complete and keeps every threshold")
    return bool(found)


def best_documents(header: StudyHeader, found: Sequence[TrialRecord], store: Store) -> Any:
    """One object for one objective (null without a best), a list for several."""
    documents = [best_document(trial, best_model(header, trial, store)) for trial in found]
    if len(header.objectives) > 1:
        return documents
    return documents[0] if documents else None


def best_model(header: StudyHeader, trial: TrialRecord, store: Store) -> str | None:
    """Address of a best trial's model: its place under `best/`, else (the study still runs) with its trial.

    None if it kept none.
    """
    places = [layout.best_prefix(header.study_id)]
    if len(header.objectives) > 1:
        places = [f"{places[0]}{trial.number}/"]
    places.append(layout.SlotKey(header.study_id, trial.round, trial.slot).attempt(trial.attempt).model)
    for prefix in places:
        if next(iter(store.list(prefix)), None) is not None:
            return f"{store.uri}/{prefix}"
    return None


def show_result(header: StudyHeader, trials: Sequence[TrialRecord], store: Store) -> None:
    """The end of a study: leaderboard, best configuration, where its model lies, what failed."""
    if any(trial.state == "complete" for trial in trials):
        show(tables.leaderboard(header, trials))
    _show_best(header, trials, store)
    _show_failures(trials)


def _status_lines(study: StudyRecord, store: Store, now: datetime) -> list[Text]:
    header = study.header
    seconds = elapsed_s(study)
    since = (now - study.created_at).total_seconds() if seconds is None else seconds
    state = Text("state    ")
    state.append(study.state, style=tables.STYLES.get(study.state, ""))
    if study.reason:
        state.append(f": {text.plain(study.reason)}")
    start, end = header.interval or ("", "")
    interval = f", data {start} to {end}" if start != end else ""
    return [
        Text(text.plain(header.name), style="bold"),
        Text(f"study    {study.study_id}"),
        Text(
            f"run      {text.plain(header.dag_id)}/{text.plain(header.run_id)}, epoch {header.epoch}{interval}"
        ),
        state,
        Text(f"started  {text.moment(study.created_at)} UTC, {text.duration(since)}"),
        Text(f"store    {text.plain(store.uri)}/{layout.study_prefix(study.study_id)}"),
    ]


def _show_best(header: StudyHeader, trials: Sequence[TrialRecord], store: Store) -> None:
    """The best configuration in full; a Pareto front as a table."""
    front = summary.best(header.objectives, trials)
    if len(header.objectives) > 1 and front:
        show(Text("\nPareto front", style="bold"), tables.leaderboard(header, front, top=len(front)))
        models = {trial.number: best_model(header, trial, store) for trial in front}
        show(*(Text(f"model of trial {number}: {model}") for number, model in models.items() if model))
        return
    for trial in front:
        show(Text(f"\nbest: {tables.values_text(trial)} (trial {trial.number})", style="bold green"))
        show(tables.parameters_table(trial))
        show(Text(f"model: {best_model(header, trial, store) or 'the trial kept none'}"))


def _show_failures(trials: Sequence[TrialRecord]) -> None:
    failed = sum(trial.state == "failed" for trial in trials)
    if failed:
        show(Text(f"\nfailed: {failed} of {len(trials)} trials", style="bold red"))
        show(tables.failures_table(trials))
