"""Which of a trial's parameters the estimator takes."""

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from hpo_tasks.errors import InputError

TRAIN_SAMPLES = "train_samples"
"""The one parameter that is the trainer's own: how many rows are used for training."""


def estimator_params(
    params: Mapping[str, Any], known: Collection[str], taken: Mapping[str, str]
) -> dict[str, Any]:
    """The parameters to construct the estimator with.

    Args:
        params: the trial's parameters.
        known: names that the estimator takes.
        taken: names that the trainer sets itself → where the user says it instead.

    Raises:
        InputError: a parameter that the estimator does not know, with close matches.
    """
    for name in params:
        if name in taken:
            raise InputError(f"parameter {name!r} is set by the trainer: use {taken[name]}")
        if name not in known and name != TRAIN_SAMPLES:
            close = difflib.get_close_matches(name, [*known, TRAIN_SAMPLES], n=3, cutoff=0.5)
            hint = f"; did you mean {' or '.join(close)}?" if close else ""
            raise InputError(f"parameter {name!r} is unknown to this estimator{hint}")
    return {name: value for name, value in params.items() if name != TRAIN_SAMPLES}


def train_samples(params: Mapping[str, Any]) -> int | None:
    """Number of training rows asked for, None for all.

    Raises:
        InputError: not a whole number of at least 2.
    """
    size = params.get(TRAIN_SAMPLES)
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, int) or size < 2:
        raise InputError(f"{TRAIN_SAMPLES}: must be a whole number of at least 2, got {size!r}")
    return size
