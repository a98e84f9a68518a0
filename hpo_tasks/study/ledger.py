"""The ledger: the study database plus the rules that make ask and tell repeatable.

Any call may be killed at any instant and repeated, by any number of processes at once. Imports Optuna: never import
this from a DAG file.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from optuna.exceptions import DuplicatedStudyError
from optuna.study import StudyDirection
from sqlalchemy import Connection

from hpo_tasks.errors import ConflictError, IntegrityError, UnavailableError
from hpo_tasks.spec.model import Scalar, StudySpec
from hpo_tasks.study import plan, read, summary, tables, write
from hpo_tasks.study.identity import round_seed
from hpo_tasks.study.plan import Batch, Finished
from hpo_tasks.study.propose import History, Proposals, propose
from hpo_tasks.study.read import StoredStudy, StoredTrial
from hpo_tasks.study.records import Asked, StudyHeader, StudyRecord, StudyState, TellReport, TrialRecord
from hpo_tasks.study.samplers import quiet
from hpo_tasks.study.storage import LOCK_IDLE_S, LOCK_TIMEOUT_S, Database, Lock
from hpo_tasks.study.verdict import closed, judge, outcome_digest
from hpo_tasks.trial.contract import Outcome
from hpo_tasks.trial.layout import SlotKey


class Ledger:
    """The studies in one database.

    Args:
        url: see `storage.Database`.
        lock_timeout_s, lock_idle_s: see `storage.Database`.
        at: called with the name of each step inside ask and tell; tests kill the process there.

    All methods raise UnavailableError if the database does not answer now, and RefusedError if it says no.
    """

    def __init__(
        self,
        url: str,
        *,
        lock_timeout_s: float = LOCK_TIMEOUT_S,
        lock_idle_s: float = LOCK_IDLE_S,
        at: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._database = Database(url, lock_timeout_s=lock_timeout_s, lock_idle_s=lock_idle_s)
        self._at = at

    def close_connections(self) -> None:
        """Give the database's connections back."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close_connections()

    def check(self) -> None:
        """Make sure that the database answers and can be written, without writing."""
        with self._database.plain_errors(), self._database.writing() as connection:
            write.check(connection)

    def create(self, header: StudyHeader, *, changed: Sequence[str] = ()) -> None:
        """Create the study, or find that it is there already.

        Args:
            header: what the study is.
            changed: fields of the study file that differ from the study's, for the message of a conflict.

        Raises:
            ConflictError: the study exists with another meaning.
        """
        with self._locked(header.study_id):
            stored = self._find(header.study_id)
            if stored is not None and stored.header.identity != header.identity:
                fields = ", ".join(changed) or "objective, search, constraints, optimizer, code or inputs"
                raise ConflictError(
                    f"epoch: study {header.study_id} exists with other {fields}; trials of two meanings do not mix: "
                    f"use `epoch: {header.epoch + 1}` for a new study, or change them back"
                )
            if stored is None or stored.header != header:
                self._write_header(header)

    def _write_header(self, header: StudyHeader) -> None:
        optuna = self._database.optuna
        directions = [StudyDirection[objective.direction.upper()] for objective in header.objectives]
        try:
            with quiet():
                row = optuna.create_new_study(directions, header.study_id)
        except DuplicatedStudyError:  # of a create that was killed here, or with another name
            row = optuna.get_study_id_from_name(header.study_id)
        names = [objective.metric for objective in header.objectives]
        optuna.set_study_system_attr(row, "study:metric_names", names)  # Optuna's plots show them
        before = optuna.get_study_user_attrs(row).get(tables.HEADER, {})
        created_at = before.get("created_at", datetime.now(UTC).isoformat())
        optuna.set_study_user_attr(row, tables.HEADER, read.header_to(header, created_at))

    def next_batch(self, study: str, spec: StudySpec, *, round_: int, max_rounds: int) -> Batch | Finished:
        """Decide about a round from what is recorded, see `plan.next_batch`."""
        record, trials = self.study(study), self.trials(study)
        elapsed_s = plan.open_seconds(record.openings, trials)
        return plan.next_batch(
            spec,
            trials,
            round_=round_,
            open_elapsed_s=elapsed_s,
            max_rounds=max_rounds,
            exhausted=record.exhausted,
        )

    def ask(
        self,
        study: str,
        spec: StudySpec,
        round_: int,
        count: int,
        *,
        initial: Sequence[Mapping[str, Scalar]] = (),
    ) -> list[Asked]:
        """Hand out a round's configurations; the same ones if it was asked before.

        Args:
            study: id of a created study.
            spec: the pinned spec.
            round_: number of the round.
            count: how many, see `plan.next_batch`; a round that was asked before keeps its size.
            initial: configurations to try first, `previous_best` already replaced by parameters.

        Returns: what is stored, in slot order; shorter than asked for, or empty, if the space is exhausted.

        Raises:
            InputError: no configuration satisfies the constraints, or the sampler cannot be had.
            IntegrityError: the study was never created, or edited by hand.
        """
        with self._database.plain_errors():
            stored = self._get(study)
            proposals = self._propose(stored, spec, round_, count, initial)
        with self._locked(study) as lock:
            trials = self._trials(stored)
            self._sweep(trials)
            self._at("ask.looked")
            there = {slot for (number, slot) in read.live(trials) if number == round_}
            # Before the trials: a retry that finds all of them does not propose again.
            self._note_opening(stored, round_, proposals)
            self._at("ask.noted")
            for slot, proposal in enumerate(proposals.batch):
                if slot not in there:
                    lock.confirm()
                    template = write.template(
                        spec, proposal, SlotKey(study, round_, slot), len(proposals.batch)
                    )
                    with self._database.writing() as connection:
                        write.create(connection, stored.row, template)
                    self._at(f"ask.created.{slot}")
            trials = self._trials(stored)
            self._sweep(trials)
            self._at("ask.swept")
        # What was read back, not what was meant: a trial of the same slot from another process may count instead.
        found = map(_record, read.live(trials).values())
        return [Asked(r.number, r.round, r.slot, r.params, r.seed) for r in found if r.round == round_]

    def _propose(
        self,
        stored: StoredStudy,
        spec: StudySpec,
        round_: int,
        count: int,
        initial: Sequence[Mapping[str, Scalar]],
    ) -> Proposals:
        """Propose the round's whole batch from the history before it; nothing if all its trials are there.

        Needs no lock, and holds none, as it may take minutes.
        """
        with self._database.reading() as connection:
            live = read.live(read.stored_trials(connection, stored, with_sampler_attrs=True))
            noted = read.rounds(connection, stored.row)
        records = [_record(trial) for trial in live.values()]
        there = [record.batch for record in records if record.round == round_]
        size = max(there, default=count)
        if len(there) >= size:
            return Proposals()
        attrs: dict[str, Any] = {}
        for number in sorted(number for number in noted if number < round_):
            attrs |= noted[number]["sampler"]
        history = History([record for record in records if record.round < round_], attrs)
        seed = round_seed(spec.optimizer.seed, stored.header.study_id, round_)
        proposals = propose(spec, seed, history, size, initial)
        self._at("ask.proposed")
        return proposals

    def _note_opening(self, stored: StoredStudy, round_: int, proposals: Proposals) -> None:
        """Note when the round was opened, and what the proposal left beside its trials."""
        with self._database.reading() as connection:
            note = read.rounds(connection, stored.row).get(
                round_, {"opened": [], "sampler": {}, "exhausted": False}
            )
            note["opened"].append(write.now(connection).isoformat())
        note["sampler"] |= proposals.study_attrs
        note["exhausted"] |= proposals.exhausted
        note["size"] = max(note.get("size", 0), len(proposals.batch))
        self._database.optuna.set_study_system_attr(stored.row, f"{tables.ROUND}{round_}", note)

    def _sweep(self, trials: Sequence[StoredTrial]) -> None:
        """Fail what would stay RUNNING for ever: trials without a key, and all but the first of one key."""
        first = read.live(trials)
        for trial in trials:
            if trial.record is None and trial.state == "running":
                self._finish(trial.row, "no slot of the study: left by another program", {})
            elif trial.record is not None and not trial.superseded:
                number = first[trial.record.round, trial.record.slot].number
                if number != trial.number:
                    self._finish(trial.row, f"superseded by trial {number}", {tables.SUPERSEDED: number})

    def _finish(self, row: int, reason: str, marks: Mapping[str, Any]) -> None:
        with self._database.writing() as connection:
            write.finish(connection, row, closed(reason))
            write.mark(connection, row, marks)

    def tell(self, study: str, outcomes: Sequence[Outcome]) -> TellReport:
        """Record outcomes, each once and for good.

        Args:
            study: id of a created study.
            outcomes: in any number and order, told before or not.

        Raises:
            IntegrityError: the study was never created, or edited by hand.
        """
        with self._database.plain_errors():
            stored = self._get(study)
            live = read.live(self._trials(stored))
            self._at("tell.looked")
            won: set[SlotKey] = set()
            rejected: list[tuple[SlotKey, str]] = []
            known: list[tuple[SlotKey, Outcome]] = []
            for outcome in outcomes:
                key = SlotKey(study, outcome.round, outcome.slot)
                trial = live.get((outcome.round, outcome.slot))
                if trial is None or outcome.study != study:
                    rejected.append((key, "the study has no such trial"))
                    continue
                known.append((key, outcome))
                verdict = judge(stored.header, _record(trial), outcome)
                if verdict.problem:
                    rejected.append((key, verdict.problem))
                if _record(trial).outcome_digest == "":
                    with self._database.writing() as connection:
                        if write.finish(connection, trial.row, verdict):
                            won.add(key)
                    self._at(f"tell.recorded.{outcome.slot}")
            # Read back what is there now: of two tellers at once only one has written.
            now = read.live(self._trials(stored)) if known else {}
        same = {
            key: _record(now[key.round, key.slot]).outcome_digest == outcome_digest(outcome)
            for key, outcome in known
        }
        return TellReport(
            told=tuple(key for key, equal in same.items() if equal and key in won),
            already=tuple(key for key, equal in same.items() if equal and key not in won),
            mismatched=tuple(key for key, equal in same.items() if not equal),
            rejected=tuple(rejected),
        )

    def close(self, study: str, state: StudyState, reason: str = "", *, recorded: int | None = None) -> None:
        """End the study: what is still running is recorded as failed with class `stopped`, until an outcome comes.

        Args:
            study: id of a created study.
            state: how it ended.
            reason: why, in a sentence.
            recorded: how many trials had an outcome when that was decided; None: whatever there is now.

        Raises:
            UnavailableError: there are other outcomes now, so that the decision has to be taken again: whoever took it
                was stopped for a while, and the study went on.
        """
        with self._locked(study) as lock:
            stored = self._get(study)
            self._sweep(self._trials(stored))  # no ask comes any more that would do it
            lock.confirm()
            # In one transaction: a process that is stopped before it and goes on later decides by what is there then.
            with self._database.writing() as connection:
                write.hold_study(connection, stored.row)
                trials = read.stored_trials(connection, stored)
                now = sum(bool(_record(trial).outcome_digest) for trial in read.live(trials).values())
                if recorded is not None and now != recorded:
                    raise UnavailableError(
                        f"study {study} went on while its end was decided: {now} outcomes, not {recorded}"
                    )
                verdict = closed(reason or "the study ended before the trial had an outcome")
                for trial in trials:
                    if trial.state == "running":
                        write.finish(connection, trial.row, verdict)
                self._set_state(connection, stored, state, reason, at=write.now(connection).isoformat())

    def reopen(self, study: str, round_: int) -> None:
        """Let a closed study go on: trials that were only closed run again, those with an outcome stay.

        Args:
            study: id of a created study.
            round_: the round that is to take place. If all its trials have an outcome, the study stays as it is: whoever
                asks for such a round repeats what was done, perhaps long after the study's end.
        """
        with self._locked(study) as lock:
            stored = self._get(study)
            lock.confirm()
            with self._database.writing() as connection:  # one transaction, as in `close`
                write.hold_study(connection, stored.row)
                live = read.live(read.stored_trials(connection, stored)).values()
                mine = [_record(trial) for trial in live if _record(trial).round == round_]
                if mine and all(record.outcome_digest for record in mine):
                    return
                for trial in live:
                    if trial.state == "failed" and _record(trial).outcome_digest == "":
                        write.run_again(connection, trial.row)
                self._set_state(connection, stored, "running", "", at=None)

    def _set_state(
        self, connection: Connection, stored: StoredStudy, state: StudyState, reason: str, at: str | None
    ) -> None:
        """Note the study's state, unless it is that already: the moment of its end stays."""
        before = read.study_attributes(connection, stored.row).get(tables.STATE, {})
        if (before.get("state"), before.get("reason")) != (state, reason):
            write.set_study_attribute(
                connection, stored.row, tables.STATE, {"state": state, "reason": reason, "at": at}
            )

    def delete(self, study: str) -> bool:
        """Delete a study with its trials. False if there is none."""
        with self._locked(study), self._database.writing() as connection:
            return write.delete_study(connection, study)

    def trials(self, study: str) -> list[TrialRecord]:
        """The study's trials by round and slot."""
        with self._database.plain_errors():
            return [_record(trial) for trial in read.live(self._trials(self._get(study))).values()]

    def study(self, study: str) -> StudyRecord:
        """One study."""
        with self._database.plain_errors():
            stored = self._get(study)
            with self._database.reading() as connection:
                attributes = read.study_attributes(connection, stored.row)
                noted = read.rounds(connection, stored.row)
            trials = self.trials(study)
            best = summary.best(stored.header.objectives, trials)
            metric = stored.header.objectives[0].metric
            value = best[0].values[metric] if best and best[0].values else None
            first = (best[0].number, value) if value is not None else None
            # Noted before the round's trials are created: until all of them are, there is something left to try.
            created = Counter(trial.round for trial in trials)
            exhausted = any(
                note["exhausted"] and created[n] >= note.get("size", 0) for n, note in noted.items()
            )
            return read.study_record(
                attributes, summary.counts(trials), first, noted=noted, exhausted=exhausted
            )

    def studies(self, *, dag_id: str | None = None) -> list[StudyRecord]:
        """All studies, newest first.

        Args:
            dag_id: only those of this DAG.
        """
        with self._database.plain_errors(), self._database.reading() as connection:
            return [r for r in read.studies(connection) if dag_id is None or r.header.dag_id == dag_id]

    def best(self, study: str) -> list[TrialRecord]:
        """The best feasible trial, or the Pareto front of several objectives; empty if there is none yet."""
        with self._database.plain_errors():
            return summary.best(self._get(study).header.objectives, self.trials(study))

    def find(self, reference: str) -> str:
        """Id of the study that a person means.

        Args:
            reference: the start of an id, a DAG id, `<dag_id>/<run_id>`, or a display name; the newest study of a DAG
                or name is meant.

        Raises:
            InputError: none fits, or several do.
        """
        return summary.find(self.studies(), reference)

    @contextmanager
    def _locked(self, study: str) -> Iterator[Lock]:
        with self._database.plain_errors(), self._database.lock(study) as lock:
            self._at("locked")
            yield lock

    def _find(self, study: str) -> StoredStudy | None:
        with self._database.reading() as connection:
            return read.stored_study(connection, study)

    def _get(self, study: str) -> StoredStudy:
        stored = self._find(study)
        if stored is None:
            raise IntegrityError(
                f"study {study} is not in {self._database.display}; run `prepare` again to create it"
            )
        return stored

    def _trials(self, study: StoredStudy, *, with_sampler_attrs: bool = False) -> list[StoredTrial]:
        with self._database.reading() as connection:
            return read.stored_trials(connection, study, with_sampler_attrs=with_sampler_attrs)


def _record(trial: StoredTrial) -> TrialRecord:
    if trial.record is None:
        raise IntegrityError(f"trial {trial.number} carries no key")
    return trial.record
