"""What a Python objective is handed: its parameters, where its files go, and how it reports.

    def objective(session):
        for step in range(100):
            ...
            session.report(step, rmse=error)
            if session.should_stop():
                break
        return error

A program that is started as a command can use it too: `Session.from_environment()`.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo_tasks.trial.contract import Scalar
from hpo_tasks.trial.metrics import STEP

_INPUT = "HPO_INPUT_"


@dataclass(frozen=True, slots=True)
class Session:
    """One attempt, seen from inside the user's program.

    Attributes:
        params: this trial's active parameters.
        inputs: input name → URI or local path.
        seed: this trial's own seed; the same in every attempt.
        threads: how many threads it may keep busy.
        checkpoint_dir: kept in the object store and handed to the next attempt if this one is interrupted.
        model_dir: kept as the trial's model.
    """

    params: Mapping[str, Scalar]
    inputs: Mapping[str, str]
    seed: int
    threads: int
    checkpoint_dir: Path
    model_dir: Path
    _metrics: Path
    _stop: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> "Session":
        """The session of this process.

        Input names come back in lower case: variables do not keep their case. `hpo_tasks.trial.call` hands its callable
        the names of the study file.

        Raises:
            RuntimeError: this process was not started by the runner.
        """
        found = os.environ if environ is None else environ
        try:
            return cls(
                params=json.loads(Path(found["HPO_PARAMS"]).read_bytes()),
                inputs={
                    name.removeprefix(_INPUT).lower(): value
                    for name, value in found.items()
                    if name.startswith(_INPUT)
                },
                seed=int(found["HPO_SEED"]),
                threads=int(found["HPO_THREADS"]),
                checkpoint_dir=Path(found["HPO_CHECKPOINT_DIR"]),
                model_dir=Path(found["HPO_MODEL_DIR"]),
                _metrics=Path(found["HPO_METRICS"]),
                _stop=Path(found["HPO_STOP"]),
            )
        except KeyError as error:
            raise RuntimeError(f"{error.args[0]} is not set: this is not a process of a trial") from None

    def report(self, step: int, /, **metrics: Any) -> None:
        """Report metrics as of a step. The last value of each objective metric is the trial's result.

        Args:
            step: counts epochs, iterations or the like.
            metrics: numbers; also NumPy's, and tensors of one element.

        Raises:
            TypeError: a value is no number.
        """
        self.record({STEP: int(step), **metrics})

    def record(self, metrics: Mapping[str, Any]) -> None:
        """Report metrics without a step, under any names.

        Raises:
            TypeError: a value is no number.
        """
        line = json.dumps({name: _plain(name, value) for name, value in metrics.items()})
        # One write of one line: reports of several processes do not mix.
        with self._metrics.open("ab", buffering=0) as file:
            file.write(line.encode() + b"\n")

    def should_stop(self) -> bool:
        """Whether the trial is asked to end soon. Save what is worth it and return."""
        return self._stop.exists()


def _plain(name: str, value: Any) -> Any:
    """The value for JSON. What is no number but JSON all the same goes through: the runner says what is wrong with it."""
    if isinstance(value, bool | str | int | float) or value is None:
        return value
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"metric {name}: must be a number, got {type(value).__name__}") from None
