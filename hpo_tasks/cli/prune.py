"""`hpo prune`: deletes what each study's own `keep` lets go."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from rich.text import Text

from hpo_tasks.cli.places import Places, find_study, open_ledger, store_of
from hpo_tasks.cli.terminal import print_json, say, show
from hpo_tasks.errors import IntegrityError
from hpo_tasks.flow.steps.pin import read_pin
from hpo_tasks.report.text import plain
from hpo_tasks.store import Store
from hpo_tasks.study.records import StudyRecord
from hpo_tasks.study.retention import is_expired, superfluous
from hpo_tasks.trial import layout

if TYPE_CHECKING:
    from hpo_tasks.study.ledger import Ledger

POINTERS = "best/"


@dataclass(frozen=True, slots=True)
class Pruned:
    """What of a study goes: the whole `study`, or `models` and checkpoints; and how many objects that is."""

    study: str
    name: str
    action: Literal["study", "models"]
    objects: int


def prune(where: Places, *, reference: str | None, dag_id: str | None, dry_run: bool, as_json: bool) -> None:
    """Apply retention to all studies, to one, or to those of a DAG; say what went."""
    with open_ledger(where) as ledger:
        if reference is None:
            studies = ledger.studies(dag_id=dag_id)
        else:
            studies = [ledger.study(find_study(ledger, reference))]
        pruned = prune_studies(ledger, studies, where, now=datetime.now(UTC), dry_run=dry_run)
    if as_json:
        print_json([asdict(row) | {"dry_run": dry_run} for row in pruned])
        return
    for row in pruned:
        what = "the whole study" if row.action == "study" else "models and checkpoints"
        show(Text(f"{row.study}  {plain(row.name)}: {what}, {row.objects} objects"))
    total = sum(row.objects for row in pruned)
    say(f"{'would delete' if dry_run else 'deleted'} {total} objects of {len(pruned)} studies")


def prune_studies(
    ledger: "Ledger", studies: Sequence[StudyRecord], where: Places, *, now: datetime, dry_run: bool
) -> list[Pruned]:
    """Delete what each study's pinned `keep` lets go; returns what that was. Safe to repeat after a kill.

    Raises:
        IntegrityError: a pointer to a best, or a pin, cannot be read: nothing of that store is deleted then.
    """
    found: list[Pruned] = []
    pointers: dict[str, frozenset[str]] = {}
    for study in studies:
        store = store_of(study.header, where)
        if store.uri not in pointers:
            pointers[store.uri] = pointed_at(store)
        pin = read_pin(store, study.study_id)
        if pin is None:
            continue  # nothing says what it keeps
        if is_expired(study, pin.spec.keep, pointed_at=pointers[store.uri], now=now):
            found.append(_whole(ledger, store, study, dry_run=dry_run))
            continue
        keys = store.list(layout.study_prefix(study.study_id))
        gone = list(superfluous(study, pin.spec.keep, ledger.trials(study.study_id), keys))
        if gone and not dry_run:
            store.delete(gone)
        if gone:
            found.append(Pruned(study.study_id, study.header.name, "models", len(gone)))
    return found


def pointed_at(store: Store) -> frozenset[str]:
    """Ids of the studies that the store's pointers `best/<dag_id>.json` point at."""
    studies = set()
    for key in store.list(POINTERS):
        data = store.read(key)
        try:
            if data is not None:
                studies.add(str(json.loads(data)["study"]))
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityError(
                f"{store.uri}/{key}: not a pointer to a best ({error}); restore or remove it"
            ) from None
    return frozenset(studies)


def _whole(ledger: "Ledger", store: Store, study: StudyRecord, *, dry_run: bool) -> Pruned:
    """Delete the study: its objects, its rows, its pins last.

    In this order, because a killed prune finds the rest by row and pin when it is repeated.
    """
    keys = list(store.list(layout.study_prefix(study.study_id)))
    if not dry_run:
        pins = [key for key in keys if key.startswith(f"{layout.study_prefix(study.study_id)}spec/")]
        store.delete([key for key in keys if key not in set(pins)])
        ledger.delete(study.study_id)
        store.delete(pins)
    return Pruned(study.study_id, study.header.name, "study", len(keys))
