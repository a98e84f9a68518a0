"""Studies as the tasks leave them behind: real pins, ledger, outcomes, logs and models, without an Airflow."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hpo_tasks.flow.steps.best import copy_best_models, move_pointer
from hpo_tasks.flow.steps.pin import Pin, pin
from hpo_tasks.spec import Trust, identity_digest, validate
from hpo_tasks.store import open_store
from hpo_tasks.study import summary
from hpo_tasks.study.identity import study_id
from hpo_tasks.study.ledger import Ledger
from hpo_tasks.study.records import Asked, StudyHeader
from hpo_tasks.trial import layout
from hpo_tasks.trial.contract import Outcome, canonical_json, encode_outcome, params_sha256
from hpo_tasks.trial.layout import SlotKey

SPEC: Mapping[str, Any] = {
    "name": "Test study",
    "objective": {"metric": "loss", "direction": "minimize"},
    "search": {
        "x": {"type": "float", "low": 0.0, "high": 1.0},
        "kind": {"type": "categorical", "choices": ["a", "b"]},
    },
    "optimizer": {"sampler": "random", "seed": 3},
    "batch_size": 4,
    "budget": {"trials": 8},
    "trial": {"command": ["true"]},
}
BEGAN = datetime(2026, 1, 31, 2, 0, tzinfo=UTC)


class RecordedStudy:
    """One study in a home's database and store.

    `tell` takes (slot, class or value) as a person would describe the round.
    """

    def __init__(
        self, home: Path, *, dag_id: str = "hpo_test", run_id: str = "manual__1", **changes: Any
    ) -> None:
        (home / "db").mkdir(parents=True, exist_ok=True)
        self.store = open_store(str(home / "store"))
        self.store.probe()
        self.ledger = Ledger(f"sqlite:///{home / 'db' / 'studies.db'}")
        self.id = study_id("embedded", dag_id, run_id, 0)
        spec = validate({**SPEC, **changes}, trust=Trust.FILE)
        wanted = Pin(
            study=self.id, deployment="embedded", dag_id=dag_id, run_id=run_id, epoch=0, spec=spec,
            interval=("2026-01-30T02:00:00+00:00", "2026-01-31T02:00:00+00:00"), inputs={}, fingerprints={},
            initial=(), max_rounds=8,
        )  # fmt: skip
        self.pin = pin(self.store, wanted)
        self.header = StudyHeader(
            study_id=self.id, name=spec.name, dag_id=dag_id, run_id=run_id, epoch=0, deployment="embedded",
            identity=identity_digest(spec), objectives=spec.objective, thresholds=spec.thresholds,
            interval=self.pin.interval, store=self.store.uri,
        )  # fmt: skip
        self.ledger.create(self.header)

    def ask(self, round_: int) -> list[Asked]:
        return self.ledger.ask(self.id, self.pin.spec, round_, self.pin.spec.batch_size)

    def train(
        self, row: Asked, result: float | str | Mapping[str, float], *, reason: str = "exit code 3"
    ) -> Outcome:
        """Write one trial's outcome into the store; a number or mapping is its value, a text its outcome class."""
        key = SlotKey(self.id, row.round, row.slot)
        self.store.write(key.attempt(1).request, b"{}")
        self.store.write(key.attempt(1).log, b"trained\n")
        good = not isinstance(result, str)
        artifacts: tuple[dict[str, Any], ...] = ()
        if good:
            self.store.write(f"{key.attempt(1).model}weights.json", canonical_json({"number": row.number}))
            self.store.write(f"{key.attempt(1).checkpoint}state.json", b"{}")
            artifacts = ({"path": "model/weights.json", "size": 12, "sha256": "0" * 64},)
        started = BEGAN + timedelta(minutes=row.round, seconds=row.slot)
        outcome = Outcome(
            study=self.id, round=row.round, slot=row.slot, attempt=1, cls="complete" if good else result,
            reason="" if good else reason, spec_digest=self.pin.digest, params_sha256=params_sha256(row.params),
            values={} if not good else result if isinstance(result, Mapping) else {"loss": float(result)},
            started_at=started.isoformat(), ended_at=(started + timedelta(seconds=5)).isoformat(), duration_s=5.0,
            exit_code=0 if good else 3, artifacts=artifacts,
        )  # fmt: skip
        self.store.create(key.outcome, encode_outcome(outcome))
        return outcome

    def round(self, number: int, results: Sequence[float | str | Mapping[str, float]], **kwargs: Any) -> None:
        """Ask, train and tell a round."""
        asked = self.ask(number)
        self.ledger.tell(
            self.id, [self.train(row, result, **kwargs) for row, result in zip(asked, results, strict=True)]
        )

    def conclude(self, state: str = "complete", reason: str = "") -> None:
        self.ledger.close(self.id, state, reason)
        document = summary.summary(self.ledger.study(self.id), self.ledger.trials(self.id))
        model = copy_best_models(self.store, self.pin, document["best"])
        self.store.write(layout.summary_key(self.id), canonical_json(document))
        if document["best"]:
            move_pointer(self.store, self.pin, document["best"][0], model)


def complete_study(home: Path) -> RecordedStudy:
    """5 of 8 trials with a value, the best 0.125; 2 user errors, 1 out of memory."""
    study = RecordedStudy(home)
    study.round(0, [0.5, 0.25, "user_error", "oom"])
    study.round(1, [0.125, 0.75, 0.2, "user_error"])
    study.conclude()
    return study
