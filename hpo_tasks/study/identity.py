"""Names and seeds: pure functions of what a study is, so that any task computes the same ones."""

import base64
import hashlib

from hpo_tasks.trial.contract import canonical_json


def study_id(deployment: str, dag_id: str, run_id: str, epoch: int) -> str:
    """Id of the study that a DAG run works on: 26 characters of [a-z2-7], 130 bits of a SHA-256.

    Also the Optuna study's name and part of every key in the object store. The four are joined as a JSON list, so
    that ("a", "bc") and ("ab", "c") differ.
    """
    digest = hashlib.sha256(canonical_json([deployment, dag_id, run_id, epoch])).digest()
    return base64.b32encode(digest).decode()[:26].lower()


def round_seed(study_seed: int, study: str, round_: int) -> int:
    """Seed of one round's sampler, 0 to 2^31 - 1.

    Never a count of trials: a killed ask leaves superseded trials behind, and they would change it.
    """
    return _seed("round", study_seed, study, round_)


def trial_seed(study_seed: int, study: str, round_: int, slot: int) -> int:
    """Seed that the user's program gets, 0 to 2^31 - 1 (the range that every library takes)."""
    return _seed("trial", study_seed, study, round_, slot)


def _seed(*parts: str | int) -> int:
    return int.from_bytes(hashlib.sha256(canonical_json(parts)).digest()[:4]) >> 1
