"""The trigger form of a study's DAG: which fields it has, and their bounds."""

from dataclasses import dataclass
from typing import Literal

from hpo_tasks.spec.model import MAX_BATCH_SIZE, MAX_ROUNDS, MAX_SEED, StudySpec
from hpo_tasks.spec.rules.optimizer import SAMPLERS

MIN_ROUNDS = 4
MAX_EPOCH = 2**31 - 1
MAX_NOTE_CHARACTERS = 1000

RUN_FIELDS = frozenset({"epoch", "note"})
"""Form fields that belong to the run and are not part of the spec."""


@dataclass(frozen=True, slots=True)
class FormField:
    """One field of the trigger form.

    Attributes:
        key: dotted key in the run's conf, e.g. `budget.trials`.
        type: JSON schema type.
        default: value from the study file.
        minimum, maximum: bounds of an integer; for a string `maximum` is its length. None: no bound.
        choices: the only values allowed; () if any.
        title, help: for people.
    """

    key: str
    type: Literal["integer", "string"]
    default: int | str
    title: str
    help: str
    minimum: int | None = None
    maximum: int | None = None
    choices: tuple[str, ...] = ()


def planned_max_rounds(spec: StudySpec, *, most: int = MAX_ROUNDS) -> int:
    """How many rounds the study's DAG has: the file's, else twice what the budget needs, from 4 to `most`."""
    if spec.max_rounds is not None:
        return spec.max_rounds
    needed = -(-spec.budget.trials // spec.batch_size)
    return min(most, max(MIN_ROUNDS, 2 * needed))


def form_fields(spec: StudySpec, *, max_rounds: int) -> list[FormField]:
    """The fields of the trigger form, with the file's values as defaults.

    Args:
        spec: the study file's spec.
        max_rounds: rounds that the DAG has.
    """
    offered = dict.fromkeys([*SAMPLERS, spec.optimizer.sampler])
    return [
        FormField(
            "budget.trials", "integer", spec.budget.trials, "Trials",
            "How many configurations to try, whatever their outcome.",
            minimum=1, maximum=max_rounds * spec.batch_size,
        ),
        FormField(
            "batch_size", "integer", spec.batch_size, "Batch size",
            "How many configurations are tried side by side in one round.",
            minimum=1, maximum=MAX_BATCH_SIZE,
        ),
        FormField(
            "optimizer.sampler", "string", spec.optimizer.sampler, "Sampler",
            "How configurations are chosen. Another one than the file's runs with its default options.",
            choices=tuple(offered),
        ),
        FormField(
            "optimizer.seed", "integer", spec.optimizer.seed, "Seed",
            "The same seed and outcomes give the same configurations.",
            minimum=0, maximum=MAX_SEED,
        ),
        FormField(
            "epoch", "integer", 0, "Epoch",
            "The number of this run's study: the same number resumes it, an unused one starts a new study.",
            minimum=0, maximum=MAX_EPOCH,
        ),
        FormField("note", "string", "", "Note", "Kept with the study.", maximum=MAX_NOTE_CHARACTERS),
    ]  # fmt: skip
