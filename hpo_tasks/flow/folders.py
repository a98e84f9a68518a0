"""Study files: where they lie, and which DAG each one is. Light: the `hpo` command uses it without Airflow."""

import os
import re
from pathlib import Path

SUFFIXES = (".yaml", ".yml", ".json")
FILE_NAME_RULE = (
    "the DAG is named after the file, so its name must be letters, digits, `_`, `-` and `.`, and not `adhoc`; "
    "rename the file"
)
_STEM = re.compile(r"[A-Za-z0-9_.\-]{1,196}")


def study_folders(dags: Path) -> list[Path]:
    """Folders with study files, for DAG files that lie in `dags`: its `studies/`, and `HPO_STUDIES`."""
    extra = os.environ.get("HPO_STUDIES")
    return [dags / "studies", *([Path(extra)] if extra else [])]


def study_files(folders: list[Path]) -> dict[str, list[Path]]:
    """Study files by DAG id. More than one file of an id (`a.yaml` beside `a.json`) is the caller's to refuse."""
    found: dict[str, list[Path]] = {}
    for folder in folders:
        for path in sorted(folder.glob("*")) if folder.is_dir() else []:
            if path.suffix in SUFFIXES and not path.name.startswith("."):
                found.setdefault(dag_id_of(path), []).append(path)
    return found


def dag_id_of(path: Path) -> str:
    """`hpo_<file stem>`."""
    return f"hpo_{path.stem}"


def may_be_dag(path: Path) -> bool:
    """Whether the file's name can be a DAG's: see `FILE_NAME_RULE`."""
    return bool(_STEM.fullmatch(path.stem)) and path.stem != "adhoc" and not path.name.startswith(".")
