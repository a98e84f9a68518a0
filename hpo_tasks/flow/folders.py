"""Where study files lie: `studies/` beside the DAG files, and the folder that `HPO_STUDIES` names."""

import os
from pathlib import Path


def study_folders(dags: Path) -> list[Path]:
    """Folders with study files, for DAG files that lie in `dags`."""
    extra = os.environ.get("HPO_STUDIES")
    return [dags / "studies", *([Path(extra)] if extra else [])]
