"""What must hold, during a history and at its end. L: nothing lost. D: nothing twice. Z: nothing RUNNING. P: progress."""

import json
import re
from typing import TYPE_CHECKING, Any

from hpo_tasks.errors import IntegrityError
from hpo_tasks.study.verdict import outcome_digest
from hpo_tasks.trial.contract import (
    HAS_VALUES,
    NEW_ATTEMPT,
    Outcome,
    decode_outcome,
    decode_request,
    params_sha256,
)
from hpo_tasks.trial.layout import AttemptKey, SlotKey
from tests.simulator.database import Row
from tests.simulator.scheduler import Process

if TYPE_CHECKING:
    from tests.simulator.world import History, World

_OBJECT = re.compile(
    r"studies/(?P<study>[^/]+)/(?P<round>\d+)/(?:(?P<slot>\d+)/(?:a(?P<attempt>\d+)/)?)?(?P<name>\w+)\.json"
)
TORN = "torn"


class Checker:
    """Watches one history.

    Attributes:
        violations: what did not hold; empty if all is well.
    """

    def __init__(self, world: "World") -> None:
        self.violations: list[str] = []
        self._world = world
        self._outcomes: dict[SlotKey, Outcome | str] = {}
        self._handed_out: dict[SlotKey, dict[str, Any]] = {}
        self._rows: dict[tuple[str, int], Row] = {}
        self._created_by: dict[tuple[str, int], Process | None] = {}
        world.store.watches.append(self._stored)
        world.transactions.committed = self._committed
        world.airflow.unexpected = self._failed

    def violated(self, what: str) -> None:
        if what not in self.violations:
            self.violations.append(what)
            self._world.scheduler.say(f"VIOLATED {what}")

    # Said by the world.

    def decided(self, study: str) -> set[SlotKey]:
        """Trials of the study that have an outcome by now."""
        return {key for key in self._outcomes if key.study == study}

    def concluded(self, study: str, decided: set[SlotKey], conclusion: Any) -> None:
        """A conclude came to its end.

        Args:
            study: its id.
            decided: trials that had an outcome when it began.
            conclusion: what it says.
        """
        live = self._live(study)
        for key in sorted(decided):
            if key in live and not (live[key].outcome or {}).get("digest"):
                self.violated(f"L: {_name(key)} has an outcome, and conclude ended without recording it")
        del conclusion

    def may_have_failed(self, study: str) -> bool:
        """Whether `failed` is right: too many trials failed by themselves."""
        spec = self._world.spec
        live = self._live(study)
        recorded = [row.outcome for row in live.values() if (row.outcome or {}).get("digest")]
        if len(recorded) < len(live):
            return False
        counted = [outcome for outcome in recorded if outcome["class"] != "stopped"]
        failed = [outcome for outcome in counted if outcome["class"] not in HAS_VALUES]
        first = [row.outcome for key, row in live.items() if key.round == 0]
        return (bool(first) and all(outcome["class"] == "user_error" for outcome in first)) or (
            len(counted) >= 8 and len(failed) > spec.budget.max_failed_share * len(counted)
        )

    # While it runs.

    def _failed(self, process: Process) -> None:
        from tests.simulator.world import StudyFailed

        if not isinstance(process.error, StudyFailed):
            self.violated(f"P: {process.name} failed for good: {process.error!r}")

    def _stored(self, key: str, before: bytes | None, after: bytes | None) -> None:
        match = _OBJECT.fullmatch(key)
        if match is None:
            return
        study, round_ = match["study"], int(match["round"])
        if match["name"] == "batch":
            self._batch_written(study, round_, after)
            return
        slot = SlotKey(study, round_, int(match["slot"]))
        if match["name"] == "outcome":
            if before is not None:
                self.violated(f"L: the outcome of {_name(slot)} was changed after it was committed")
            else:
                self._decided(slot, after or b"")
        elif match["name"] == "request":
            self._requested(slot.attempt(int(match["attempt"])), after or b"")

    def _decided(self, slot: SlotKey, data: bytes) -> None:
        try:
            outcome = decode_outcome(data)
        except IntegrityError:
            self._outcomes[slot] = TORN
            return
        self._outcomes[slot] = outcome
        # A later attempt than this was launched at the same moment, by a process that did not know: it ends by itself.
        running = [each for each in self._world.backend.training(slot) if each.key.number <= outcome.attempts]
        if outcome.cls not in HAS_VALUES and running:
            self.violated(f"D: {_name(slot)} was decided as {outcome.cls} while its program runs")
        requested = self._attempts(slot)
        if outcome.attempts > self._world.spec.trial.attempts:
            self.violated(f"P: {_name(slot)} is charged {outcome.attempts} attempts")
        if outcome.cls not in HAS_VALUES and outcome.attempts not in (requested, requested - 1):
            self.violated(
                f"T: {_name(slot)} is charged {outcome.attempts} attempts, {requested} were launched"
            )

    def _requested(self, attempt: AttemptKey, data: bytes) -> None:
        slot = attempt.trial
        if attempt.number > self._world.spec.trial.attempts:
            self.violated(f"P: {_name(slot)} got attempt {attempt.number}, more than it may")
        if attempt.number > 1:
            report = self._world.store.objects.get(slot.attempt(attempt.number - 1).report)
            if report is None or decode_outcome(report).cls not in NEW_ATTEMPT:
                self.violated(
                    f"D: {_name(slot)} got attempt {attempt.number}, which the one before did not earn"
                )
        if dict(decode_request(data).params) != self._handed_out.get(slot, {}).get("params"):
            self.violated(f"D: {_name(slot)} is to train parameters that were not handed out")

    def _batch_written(self, study: str, round_: int, data: bytes | None) -> None:
        for row in json.loads(data or b"")["configurations"]:
            slot = SlotKey(study, round_, row["slot"])
            if self._handed_out.setdefault(slot, row) != row:
                self.violated(f"D: {_name(slot)} was handed out as {self._handed_out[slot]} and as {row}")

    def _committed(self) -> None:
        for row in self._world.tables.rows():
            before = self._rows.get((row.study, row.number))
            if before == row:
                continue
            self._rows[row.study, row.number] = row
            self._created_by.setdefault((row.study, row.number), self._world.scheduler.current)
            self._changed(before, row)

    def _changed(self, before: Row | None, row: Row) -> None:
        outcome = row.outcome or {}
        self._world.scheduler.say(
            f"ledger: trial {row.number} for {_slot_of(row)} is {row.state}"
            f"{' ' + str(outcome.get('class')) if outcome else ''}{', superseded' if row.superseded else ''}"
        )
        recorded = (before.outcome or {}).get("digest", "") if before else ""
        if recorded and (outcome.get("digest") != recorded or row.state != before.state):
            self.violated(f"L: what is recorded of trial {row.number} was changed")
        if outcome.get("digest") and not recorded:
            self._recorded(row, outcome)

    def _recorded(self, row: Row, outcome: dict[str, Any]) -> None:
        slot = _key_of(row)
        committed = self._outcomes.get(slot)
        if committed is None:
            self.violated(
                f"L: {_name(slot)} was recorded as {outcome['class']} without an outcome in the store"
            )
        elif isinstance(committed, Outcome):
            if outcome["digest"] != outcome_digest(committed):
                self.violated(
                    f"L: {_name(slot)} was recorded as {outcome['class']}, its outcome is {committed.cls}"
                )
        elif outcome["class"] != "user_error":
            self.violated(f"L: {_name(slot)} was recorded as {outcome['class']}, its outcome is torn")

    # At the end.

    def at_the_end(self) -> None:
        """Nothing moves any more: look at everything."""
        for problem in self._world.airflow.problems:
            self.violated(f"P: {problem}")
        for instance in self._world.backend.alive():
            self.violated(f"$: job {instance.job} is still alive")
        for study in self._world.studies.values():
            self._check_trials(study)
            self._check_end(study)
        self._check_trainings()

    def _check_trials(self, study: str) -> None:
        rows = [row for row in self._rows.values() if row.study == study]
        numbers = sorted(row.number for row in rows)
        if numbers != list(range(len(rows))):
            self.violated(f"L: trial numbers {numbers}")
        counting = [row for row in rows if not row.superseded and not self._is_left_by_the_dead(row)]
        for row in counting:
            if row.state in ("running", "waiting"):
                self.violated(f"Z: trial {row.number} for {_slot_of(row)} is {row.state} for ever")
        keys = [_key_of(row) for row in counting]
        if len(keys) != len(set(keys)):
            self.violated(f"D: trials with the same key count: {sorted(map(_name, keys))}")
        excused = self._world.transactions.created_twice + len(self._world.locks.lost_by)
        if len(rows) - len(counting) > excused:
            self.violated(
                f"D: {len(rows) - len(counting)} trials superseded, though only {excused} locks got lost or creations took place twice"
            )
        for row in counting:
            self._check_recorded(row)

    def _is_left_by_the_dead(self, row: Row) -> bool:
        """A second trial of a key by an ask that lost its lock, and ended between its create and its sweep.

        If that was after the last ask and close, nobody comes by to sweep it. The first trial of the key counts.
        """
        creator = self._created_by[row.study, row.number]
        first = min(other.number for other in self._rows.values() if _key_of(other) == _key_of(row))
        return row.number > first and creator in self._world.locks.lost_by

    def _check_recorded(self, row: Row) -> None:
        slot = _key_of(row)
        committed = self._outcomes.get(slot)
        if committed is None:
            self.violated(f"L: {_name(slot)} has no outcome")
        elif not (row.outcome or {}).get("digest"):
            self.violated(f"L: the outcome of {_name(slot)} is not recorded")
        handed_out = self._handed_out.get(slot)
        if handed_out and (handed_out["number"], handed_out["params"]) != (row.number, row.params):
            self.violated(
                f"D: {_name(slot)} was handed out as {handed_out}, stored is {row.number} {row.params}"
            )
        if isinstance(committed, Outcome) and committed.params_sha256 != params_sha256(row.params):
            self.violated(f"D: the outcome of {_name(slot)} is for other parameters")

    def _check_end(self, study: str) -> None:
        live = self._live(study)
        state, spec = self._world.tables.study_state(study), self._world.spec
        if state == "complete" and len(live) != self._world.budget:
            self.violated(f"P: complete with {len(live)} trials of {self._world.budget}")
        if state == "stopped" and spec.budget.wall_clock_s is None:
            self.violated("T: stopped, though there is no limit")
        if state == "failed" and not self.may_have_failed(study):
            self.violated("T: failed, though its trials did not")
        if state == "running":
            self.violated("T: the ledger says that the study goes on")

    def _check_trainings(self) -> None:
        seen: set[AttemptKey] = set()
        for training in self._world.backend.oracle.trainings:
            if training.attempt in seen:
                self.violated(
                    f"D: attempt {training.attempt.number} of {_name(training.attempt.trial)} was trained twice"
                )
            seen.add(training.attempt)
            if training.after_outcome:
                self.violated(
                    f"D: {_name(training.attempt.trial)} was trained though it was decided before its job began"
                )
            handed_out = self._handed_out.get(training.attempt.trial, {}).get("params", {})
            if training.params_sha256 != params_sha256(handed_out):
                self.violated(f"D: {_name(training.attempt.trial)} trained other parameters than handed out")

    def history(self) -> "History":
        """All of it."""
        from tests.simulator.world import History

        proposals = {
            name: {(key.round, key.slot): row.params for key, row in self._live(study).items()}
            for name, study in self._world.studies.items()
        }
        return History(
            seed=0,
            violations=self.violations,
            events=self._world.scheduler.events,
            proposals=proposals,
            superseded=sum(row.superseded for row in self._rows.values()),
            trainings=len(self._world.backend.oracle.trainings),
            trials=sum(map(len, proposals.values())),
        )

    def _live(self, study: str) -> dict[SlotKey, Row]:
        found: dict[SlotKey, Row] = {}
        for row in sorted(self._rows.values(), key=lambda row: row.number):
            if row.study == study and row.key is not None and not row.superseded:
                found.setdefault(_key_of(row), row)
        return found

    def _attempts(self, slot: SlotKey) -> int:
        return sum(
            key.startswith(f"{slot}a") and key.endswith("/request.json") for key in self._world.store.objects
        )


def _key_of(row: Row) -> SlotKey:
    key = row.key or {"round": -1, "slot": -1}
    return SlotKey(row.study, key["round"], key["slot"])


def _slot_of(row: Row) -> str:
    return _name(_key_of(row))


def _name(slot: SlotKey) -> str:
    return f"trial [{slot.round},{slot.slot}]"
