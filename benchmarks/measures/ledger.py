"""Ask and tell of a batch of 100 with a long history, on PostgreSQL."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from optuna.trial import TrialState
from rich.table import Table
from sqlalchemy import Connection, insert, select

from hpo_tasks.spec import StudySpec, load
from hpo_tasks.study import tables, write
from hpo_tasks.study.ledger import Ledger
from hpo_tasks.study.plan import Batch
from hpo_tasks.study.propose import History, Proposal, propose
from hpo_tasks.study.records import StudyHeader, TrialRecord
from hpo_tasks.study.storage import Database
from hpo_tasks.study.verdict import judge
from hpo_tasks.trial.contract import Outcome, params_sha256
from hpo_tasks.trial.layout import SlotKey
from tests.postgres_server import PostgresServer

STUDY_FILE = Path(__file__).parents[2] / "dags" / "studies" / "house_prices.yaml"
"""Its search space: 9 parameters, one of them conditional, and a constraint."""
STUDY = "abcdefghijklmnopqrstuvwxyz"
BATCH = 100
SAMPLERS = ("random", "tpe")
SHORT, LONG = 1_000, 10_000
"""Recorded trials before the batch."""


def measure(*, quick: bool) -> dict[str, Any]:
    """Seconds of ask (with planning the round) and tell of a batch, by number of recorded trials and sampler."""
    server = PostgresServer().start()
    try:
        rows = []
        for count in (SHORT,) if quick else (SHORT, LONG):
            url = server.create_database(f"study_{count}")
            with Ledger(url) as ledger:
                ledger.create(_header())
                _record(url, count)
                for number, sampler in enumerate(SAMPLERS):
                    timed = _one_round(ledger, sampler, count // BATCH + number)
                    rows.append({"recorded": count, "sampler": sampler, **timed})
        return {"batch": BATCH, "rows": rows}
    finally:
        server.stop()


def table(found: dict[str, Any]) -> Table:
    """One row for each history and sampler."""
    shown = Table(title=f"Ask and tell of {found['batch']} trials on PostgreSQL")
    shown.add_column("recorded trials", justify="right")
    shown.add_column("sampler")
    shown.add_column("ask s", justify="right")
    shown.add_column("tell s", justify="right")
    for row in found["rows"]:
        shown.add_row(f"{row['recorded']:,}", row["sampler"], f"{row['ask_s']:.1f}", f"{row['tell_s']:.1f}")
    return shown


def _one_round(ledger: Ledger, sampler: str, round_: int) -> dict[str, float]:
    spec = _spec(sampler)
    began = time.perf_counter()
    plan = ledger.next_batch(STUDY, spec, round_=round_, max_rounds=round_ + 1)
    if not isinstance(plan, Batch):
        raise RuntimeError(plan.reason)  # noqa: TRY004 - not the caller's mistake
    batch = ledger.ask(STUDY, spec, round_, plan.count)
    asked = time.perf_counter()
    report = ledger.tell(STUDY, [_outcome(row.round, row.slot, row.params) for row in batch])
    told = time.perf_counter()
    if len(report.told) != BATCH:
        raise RuntimeError(f"{len(report.told)} of {BATCH} trials were recorded")
    return {"ask_s": round(asked - began, 3), "tell_s": round(told - asked, 3)}


def _record(url: str, count: int) -> None:
    """Record complete trials at once, as ask and tell leave them; through them it would take many minutes."""
    spec = _spec("random")
    batch = propose(spec, 1, History(), count).batch
    trials = [_trial(spec, number, proposal) for number, proposal in enumerate(batch)]
    database = Database(url)
    with database.writing() as connection:
        study = connection.execute(select(tables.studies.c.study_id)).scalar_one()
        rows = _insert_trials(connection, study, count)
        for table in (tables.trial_params, tables.trial_user_attributes, tables.trial_values):
            found = [
                {"trial_id": row, **columns}
                for row, trial in zip(rows, trials, strict=True)
                for columns in trial[table.name]
            ]
            connection.execute(insert(table), found)
        connection.exec_driver_sql("ANALYZE")
    database.close()


def _trial(spec: StudySpec, number: int, proposal: Proposal) -> dict[str, list[dict[str, Any]]]:
    """A complete trial's rows by table, without its primary key."""
    key = SlotKey(STUDY, *divmod(number, BATCH))
    template = write.template(spec, proposal, key, BATCH)
    record = TrialRecord(number, key.round, key.slot, "running", proposal.params, seed=0)
    verdict = judge(_header(), record, _outcome(key.round, key.slot, proposal.params))
    template.set_user_attr(tables.OUTCOME, verdict.facts)
    return {
        **{table.name: rows for table, rows in write.rows_of(template).items()},
        tables.trial_values.name: [
            {"objective": index, "value": value, "value_type": tables.FINITE}
            for index, value in enumerate(verdict.values or ())
        ],
    }


def _insert_trials(connection: Connection, study: int, count: int) -> list[int]:
    """Rows of `trials`; returns their primary keys by number."""
    now = datetime.now(UTC).replace(tzinfo=None)
    fixed = {
        "study_id": study,
        "state": TrialState.COMPLETE,
        "datetime_start": now,
        "datetime_complete": now,
    }
    trials = tables.trials
    returning = insert(trials).returning(trials.c.trial_id, sort_by_parameter_order=True)
    return list(connection.execute(returning, [{**fixed, "number": n} for n in range(count)]).scalars())


@cache
def _spec(sampler: str) -> StudySpec:
    spec = load(STUDY_FILE)
    return spec.model_copy(
        update={
            "optimizer": spec.optimizer.model_copy(update={"sampler": sampler, "options": {}}),
            "initial": (),
            "batch_size": BATCH,
            "budget": spec.budget.model_copy(update={"trials": 1_000_000, "wall_clock_s": None}),
        }
    )


@cache
def _header() -> StudyHeader:
    spec = _spec("random")
    return StudyHeader(
        study_id=STUDY,
        name=spec.name,
        dag_id="hpo_house_prices",
        run_id="benchmark",
        epoch=0,
        deployment="benchmark",
        identity="benchmark",
        objectives=spec.objective,
    )


def _outcome(round_: int, slot: int, params: Mapping[str, Any]) -> Outcome:
    return Outcome(
        study=STUDY,
        round=round_,
        slot=slot,
        attempt=1,
        cls="complete",
        spec_digest="benchmark",
        params_sha256=params_sha256(params),
        values={"rmse": _error(params)},
        started_at="2026-01-01T00:00:00+00:00",
        ended_at="2026-01-01T00:01:00+00:00",
        duration_s=60.0,
        exit_code=0,
    )


def _error(params: Mapping[str, Any]) -> float:
    return abs(params["learning_rate"] - 0.1) + abs(params["max_depth"] - 6) + params["subsample"]
