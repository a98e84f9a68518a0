"""What `keep` of a study file lets go: a pure decision over the ledger's records and the names of stored objects."""

import re
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta

from hpo_tasks.spec.model import Keep
from hpo_tasks.study.records import StudyRecord, TrialRecord
from hpo_tasks.study.summary import best
from hpo_tasks.trial.layout import best_prefix, study_prefix

_OF_A_TRIAL = re.compile(r"(?P<round>\d+)/(?P<slot>\d+)/(?:a\d+/model|checkpoint)/.+")


def is_expired(study: StudyRecord, keep: Keep, *, pointed_at: Collection[str], now: datetime) -> bool:
    """Whether the whole study goes: it ended more than `keep.days` days ago.

    Never one that runs, nor one that `best/<dag_id>.json` points at.

    Args:
        study: the study.
        keep: its pinned retention.
        pointed_at: ids of the studies that pointers to a best point at.
        now: aware.
    """
    if keep.days is None or study.state == "running" or study.ended_at is None:
        return False
    return study.study_id not in pointed_at and study.ended_at < now - timedelta(days=keep.days)


def superfluous(
    study: StudyRecord, keep: Keep, trials: Iterable[TrialRecord], keys: Iterable[str]
) -> Iterator[str]:
    """Those of the study's keys that are models and checkpoints which `keep.models` does not keep.

    `all` keeps all; `best` those of the best trial (with several objectives, of the Pareto front); `none` none, not
    even the copy of the best. A running study keeps everything, and so does a trial without an outcome: a clear takes
    it up again from its checkpoint.
    """
    if keep.models == "all" or study.state == "running":
        return
    trials = list(trials)
    decided = {(trial.round, trial.slot) for trial in trials if trial.outcome_digest}
    kept = set()
    if keep.models == "best":
        kept = {(trial.round, trial.slot) for trial in best(study.header.objectives, trials)}
    prefix, copy = study_prefix(study.study_id), best_prefix(study.study_id)
    for key in keys:
        if match := _OF_A_TRIAL.fullmatch(key.removeprefix(prefix)):
            slot = int(match["round"]), int(match["slot"])
            if slot in decided and slot not in kept:
                yield key
        elif keep.models == "none" and key.startswith(copy):
            yield key
