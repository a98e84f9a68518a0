"""Optuna's tables as Python objects, and what `study/read.py`, `study/write.py` and Optuna's storage do with them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace

from optuna.exceptions import DuplicatedStudyError, StorageInternalError
from optuna.trial import TrialState as OptunaState
from sqlalchemy.exc import OperationalError

from hpo_tasks.study import read, tables, write
from hpo_tasks.study.read import StoredStudy, StoredTrial
from tests.simulator.database import Row, Transactions


@dataclass
class Trial:
    """A row, with its attributes as JSON texts."""

    row: int
    number: int
    state: OptunaState
    params: dict
    started: datetime
    own: dict[str, str] = field(default_factory=dict)
    system: dict[str, str] = field(default_factory=dict)
    completed: datetime | None = None
    stored: StoredTrial | None = None

    def outcome(self) -> dict | None:
        return json.loads(self.own[tables.OUTCOME]) if tables.OUTCOME in self.own else None


@dataclass
class Study:
    """A study with its trials."""

    row: int
    name: str
    own: dict[str, str] = field(default_factory=dict)
    system: dict[str, str] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)
    header: StoredStudy | None = None


class MemoryTables:
    """Implements `Tables`. What `reading` and `writing` yield is what `reads` and `writes` take as connection."""

    def __init__(self, transactions: Transactions) -> None:
        self.studies: list[Study] = []
        self.trials: list[Trial] = []
        self.transactions = transactions
        self.optuna = _Optuna(self)

    @contextmanager
    def reading(self) -> Iterator["MemoryTables"]:
        self.transactions.before()
        yield self
        self.transactions.after(changed=False)

    @contextmanager
    def writing(self) -> Iterator["MemoryTables"]:
        self.transactions.before()
        yield self
        self.transactions.after(changed=True)

    def study(self, row: int) -> Study:
        return self.studies[row - 1]

    def named(self, name: str) -> Study | None:
        return next((study for study in self.studies if study.name == name), None)

    def trial(self, row: int) -> Trial:
        return self.trials[row - 1]

    def rows(self) -> list[Row]:
        found = []
        for study in self.studies:
            for trial in study.trials:
                key = json.loads(trial.own[tables.KEY]) if tables.KEY in trial.own else None
                state = tables.STATES[trial.state]
                superseded = tables.SUPERSEDED in trial.own
                found.append(
                    Row(study.name, trial.number, state, key, trial.params, trial.outcome(), superseded)
                )
        return found

    def study_state(self, study: str) -> str:
        found = self.named(study)
        return (
            json.loads(found.own[tables.STATE])["state"] if found and tables.STATE in found.own else "running"
        )


# Of `study/read.py`.


def _stored_study(connection: MemoryTables, study: str) -> StoredStudy | None:
    found = connection.named(study)
    if found is None or tables.HEADER not in found.own:
        return None
    if found.header is None:
        found.header = StoredStudy(found.row, read.header_from(json.loads(found.own[tables.HEADER])))
    return found.header


def _rounds(connection: MemoryTables, row: int) -> dict:
    system = connection.study(row).system
    return {
        int(key.removeprefix(tables.ROUND)): json.loads(text)
        for key, text in system.items()
        if key.startswith(tables.ROUND)
    }


def _stored_trials(
    connection: MemoryTables, study: StoredStudy, *, with_sampler_attrs: bool = False
) -> list[StoredTrial]:
    del with_sampler_attrs  # the samplers of the simulated studies keep nothing
    return [trial.stored or _store(trial) for trial in connection.study(study.row).trials]


def _store(trial: Trial) -> StoredTrial:
    own = {key: json.loads(text) for key, text in trial.own.items()}
    row = SimpleNamespace(
        number=trial.number,
        state=trial.state,
        datetime_start=trial.started,
        datetime_complete=trial.completed,
    )
    trial.stored = StoredTrial(
        row=trial.row,
        number=trial.number,
        state=tables.STATES[trial.state],
        record=read._record(row, own, trial.params, {}) if tables.KEY in own else None,
        superseded=tables.SUPERSEDED in own,
    )
    return trial.stored


def _study_attributes(connection: MemoryTables, row: int) -> dict:
    return {key: json.loads(text) for key, text in connection.study(row).own.items()}


reads = SimpleNamespace(
    **{name: getattr(read, name) for name in ("live", "header_to", "header_from", "study_record")},
    stored_study=_stored_study,
    rounds=_rounds,
    stored_trials=_stored_trials,
    study_attributes=_study_attributes,
)
"""Takes the place of `study.read` in the ledger."""


# Of `study/write.py`.


def _finish(connection: MemoryTables, row: int, verdict) -> bool:
    trial = connection.trial(row)
    if trial.state not in (OptunaState.RUNNING, OptunaState.WAITING) and not _only_closed(trial):
        return False
    trial.state = tables.OPTUNA_STATES[verdict.state]
    trial.completed = write.datetime.now(UTC).replace(tzinfo=None)
    _mark(connection, row, {tables.OUTCOME: verdict.facts})
    return True


def _only_closed(trial: Trial) -> bool:
    outcome = trial.outcome()
    return outcome is not None and outcome["digest"] == ""


def _mark(connection: MemoryTables, row: int, attributes) -> None:
    trial = connection.trial(row)
    trial.own |= {key: json.dumps(value) for key, value in attributes.items()}
    trial.stored = None


def _set_study_attribute(connection: MemoryTables, row: int, key: str, value) -> None:
    study = connection.study(row)
    study.own[key] = json.dumps(value)
    study.header = None


def _run_again(connection: MemoryTables, row: int) -> None:
    trial = connection.trial(row)
    if _only_closed(trial):
        trial.state, trial.completed, trial.stored = OptunaState.RUNNING, None, None
        del trial.own[tables.OUTCOME]


def _create(connection: MemoryTables, row: int, template) -> None:
    for _ in range(connection.transactions.times()):
        _insert(connection, row, template)


def _insert(connection: MemoryTables, row: int, template) -> None:
    study = connection.study(row)
    trial = Trial(
        row=len(connection.trials) + 1,
        number=len(study.trials),
        state=template.state,
        params=dict(template.params),
        started=template.datetime_start.replace(tzinfo=None),
        own={key: json.dumps(value) for key, value in template.user_attrs.items()},
        system={key: json.dumps(value) for key, value in template.system_attrs.items()},
    )
    study.trials.append(trial)
    connection.trials.append(trial)


writes = SimpleNamespace(
    template=write.template,
    create=_create,
    check=lambda connection: None,
    now=lambda connection: write.datetime.now(UTC),
    finish=_finish,
    mark=_mark,
    run_again=_run_again,
    hold_study=lambda connection, row: None,
    set_study_attribute=_set_study_attribute,
)
"""Takes the place of `study.write` in the ledger."""


class _Optuna:
    """What the ledger uses of Optuna's RDBStorage; each method is one transaction there, too."""

    def __init__(self, tables_: MemoryTables) -> None:
        self._tables = tables_

    @contextmanager
    def _transaction(self, *, changes: bool = True) -> Iterator[None]:
        try:
            with self._tables.writing() if changes else self._tables.reading():
                yield
        except OperationalError as error:
            raise StorageInternalError from error

    def create_new_study(self, directions, study_name: str) -> int:
        del directions
        with self._transaction():
            if self._tables.named(study_name):
                raise DuplicatedStudyError
            self._tables.studies.append(Study(len(self._tables.studies) + 1, study_name))
        return self.get_study_id_from_name(study_name)

    def get_study_id_from_name(self, study_name: str) -> int:
        with self._transaction(changes=False):
            return self._tables.named(study_name).row

    def get_study_user_attrs(self, row: int) -> dict:
        with self._transaction(changes=False):
            return _study_attributes(self._tables, row)

    def set_study_user_attr(self, row: int, key: str, value) -> None:
        with self._transaction():
            study = self._tables.study(row)
            study.own[key] = json.dumps(value)
            study.header = None

    def set_study_system_attr(self, row: int, key: str, value) -> None:
        with self._transaction():
            self._tables.study(row).system[key] = json.dumps(value)
