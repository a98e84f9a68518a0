"""Which study database and object store a command works on, and which study is meant."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpo_tasks.errors import InputError
from hpo_tasks.flow.embedded.home import Home, embedded_home
from hpo_tasks.store import Store, open_store
from hpo_tasks.study.records import StudyHeader

if TYPE_CHECKING:
    from hpo_tasks.prices.table import PriceTable
    from hpo_tasks.study.ledger import Ledger

LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Places:
    """Where studies are kept.

    Attributes:
        study_db: SQLAlchemy URL; may hold a password, never print it.
        store: URI or folder of the object store of studies that name none.
    """

    study_db: str
    store: str


def places() -> Places:
    """`HPO_STUDY_DB` and `HPO_STORE`, each else the embedded home's."""
    home = embedded_home()
    return Places(
        study_db=os.environ.get("HPO_STUDY_DB") or home.study_db,
        store=os.environ.get("HPO_STORE") or str(home.store),
    )


def places_of(home: Home) -> Places:
    """What the embedded Airflow of this home works on."""
    return Places(study_db=home.study_db, store=str(home.store))


def own_prices() -> Path:
    """The user's own price file, which need not exist: `HPO_PRICES`, else the one in the embedded home.

    `hpo prices update` writes it, and whatever looks up a price reads it.
    """
    named = os.environ.get("HPO_PRICES")
    return Path(named) if named else embedded_home().prices


def price_table() -> "PriceTable":
    """The shipped prices with the user's own over them.

    Raises:
        SpecError: what is wrong with the user's file; that the file which HPO_PRICES names is not there.
    """
    from hpo_tasks.prices.table import load_prices  # noqa: PLC0415 - a file that other commands do not need

    own = own_prices()
    return load_prices(own if own.exists() or os.environ.get("HPO_PRICES") else None)


@contextmanager
def open_ledger(where: Places) -> Iterator["Ledger"]:
    """The study database, which must be there already: looking creates nothing.

    Raises:
        InputError: there is none yet, or its URL is wrong.
    """
    # Optuna: a second, which a wrong command line should not wait for.
    from hpo_tasks.study.ledger import Ledger  # noqa: PLC0415
    from hpo_tasks.study.storage import display_name, parse_url  # noqa: PLC0415

    url = parse_url(where.study_db)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise InputError(
            f"no study database at {display_name(url)}: no study has run with this HPO_HOME yet (`hpo run SPEC`); "
            "for another one set HPO_HOME or HPO_STUDY_DB"
        )
    with Ledger(where.study_db) as ledger:
        yield ledger


def find_study(ledger: "Ledger", reference: str) -> str:
    """Id of the study that a person names: an id or its start, a name, a DAG id, `<dag_id>/<run_id>`, or `latest`.

    Raises:
        InputError: none fits, or several do.
    """
    if reference != LATEST:
        return ledger.find(reference)
    studies = ledger.studies()
    if not studies:
        raise InputError("no study yet; `hpo run SPEC` starts one")
    return studies[0].study_id


def store_of(header: StudyHeader, where: Places) -> Store:
    """The object store that the study was written to; S3 with the credentials of the environment."""
    return open_store(header.store or where.store)
