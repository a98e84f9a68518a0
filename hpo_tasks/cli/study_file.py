"""Which DAG a study file is: the files in the DAGs folder's `studies/`, and links to others in the embedded home."""

import os
from dataclasses import dataclass
from pathlib import Path

from hpo_tasks.errors import InputError
from hpo_tasks.flow.embedded.home import Home
from hpo_tasks.flow.folders import FILE_NAME_RULE, SUFFIXES, dag_id_of, may_be_dag


@dataclass(frozen=True, slots=True)
class StudyFile:
    """A study file as the embedded Airflow sees it.

    Attributes:
        path: the file that a person edits, absolute, without links.
        link: where it must be linked for Airflow to see it; None if it lies in the DAGs folder.
    """

    path: Path
    link: Path | None

    @property
    def dag_id(self) -> str:
        return dag_id_of(self.path if self.link is None else self.link)


def locate(file: Path, home: Home, dags: Path) -> StudyFile:
    """Say where the file belongs; changes nothing.

    Raises:
        InputError: its name cannot be a DAG's, or another study file has it already (names both).
    """
    path = file.resolve()
    if not may_be_dag(file):
        raise InputError(f"{file.name}: {FILE_NAME_RULE}")
    own = dags / "studies"
    for other in [*_of_stem(own, file.stem), *_of_stem(home.studies, file.stem)]:
        if not other.exists() or other.resolve() == path:
            continue  # a link whose target is gone, or this very file
        raise InputError(
            f"{path} and {other.resolve()} would both be the DAG hpo_{file.stem}: rename one of them"
        )
    in_dags_folder = any(other.resolve() == path for other in _of_stem(own, file.stem))
    return StudyFile(path, None if in_dags_folder else home.studies / file.name)


def make_visible(study_file: StudyFile) -> None:
    """Link the file into the embedded home unless it is there. A link whose target is gone is replaced."""
    link = study_file.link
    if link is None or (link.is_symlink() and link.resolve() == study_file.path):
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    temporary.symlink_to(study_file.path)
    temporary.replace(link)


def _of_stem(folder: Path, stem: str) -> list[Path]:
    return [path for suffix in SUFFIXES if (path := folder / f"{stem}{suffix}").is_symlink() or path.exists()]
