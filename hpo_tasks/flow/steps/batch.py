"""`batch.json`: what ask hands to the train tasks of a round, so that they need no database."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from hpo_tasks.errors import IntegrityError
from hpo_tasks.flow.steps.clock import Moment
from hpo_tasks.store.base import Store
from hpo_tasks.trial import layout
from hpo_tasks.trial.contract import Scalar, canonical_json

MAX_BATCH_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class Configuration:
    """One slot's configuration: Optuna's trial number, active parameters, and the trial's own seed."""

    slot: int
    number: int
    params: Mapping[str, Scalar]
    seed: int


@dataclass(frozen=True, slots=True)
class RoundBatch:
    """The configurations of a round, in slot order.

    `deadline` is the moment at which the study's wall clock is used up; None without such a limit.
    """

    round: int
    configurations: tuple[Configuration, ...]
    deadline: Moment | None = None

    def at(self, slot: int) -> Configuration:
        for configuration in self.configurations:
            if configuration.slot == slot:
                return configuration
        raise IntegrityError(
            f"round {self.round}: ask handed out no slot {slot}; clear the round's ask and train"
        )


def write_batch(store: Store, study: str, batch: RoundBatch) -> None:
    """Write the round's batch; repeating it after a clear replaces nothing but the deadline."""
    document = {"schema": 1, "study": study, **asdict(batch)}
    store.write(layout.batch_key(study, batch.round), canonical_json(document))


def read_batch(store: Store, study: str, round_: int) -> RoundBatch:
    """Read the round's batch.

    Raises:
        IntegrityError: it is missing or not what ask wrote.
    """
    key = layout.batch_key(study, round_)
    data = store.read(key, limit=MAX_BATCH_BYTES)
    if data is None:
        raise IntegrityError(f"{key}: missing; clear the round's ask task and everything after it")
    try:
        document = json.loads(data)
        rows = tuple(Configuration(**row) for row in document["configurations"])
        deadline = document["deadline"]
        return RoundBatch(int(document["round"]), rows, Moment(**deadline) if deadline else None)
    except (ValueError, TypeError, KeyError) as error:
        raise IntegrityError(f"{key}: not a batch ({error}); clear the round's ask task") from None
