"""What study files cost Airflow: parsing 100 of them together, and what they add to one task's start."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.table import Table

from hpo_tasks.flow.dags import study_dags

ROOT = Path(__file__).parents[2]
FILES = 100
RUNS = 7

TIMED = "import time; start = time.perf_counter(); import runpy; runpy.run_path({path!r}); print(time.perf_counter() - start)"
WITH_SDK = "import airflow.sdk; "
PRELOADED = (
    "import sys; sys.argv = ['airflow', 'scheduler']; "
    "from hpo_tasks.flow.preload import preload_tasks; preload_tasks(); "
)
"""As the process that task processes are forked from."""


def measure(*, quick: bool) -> dict[str, Any]:
    """Seconds: all files in one warm process; the DAG file, as a task imports it, in a fresh process and preloaded."""
    runs = 1 if quick else RUNS
    with tempfile.TemporaryDirectory() as folder:
        dags = Path(folder)
        (dags / "studies").mkdir()
        (dags / "hpo_studies.py").write_bytes((ROOT / "dags" / "hpo_studies.py").read_bytes())
        text = (ROOT / "dags" / "studies" / "house_prices.yaml").read_text()
        (dags / "studies" / "s000.yaml").write_text(text)
        over_sdk_s = task_start(dags, WITH_SDK, runs)
        one_s = task_start(dags, PRELOADED, runs)
        for number in range(1, FILES):
            (dags / "studies" / f"s{number:03d}.yaml").write_text(text)
        return {
            "files": FILES,
            "parse_100_files_s": round(parse(dags), 3),
            "import_over_sdk_s": round(over_sdk_s, 4),
            "task_start_1_file_s": round(one_s, 4),
            "task_start_100_files_s": round(task_start(dags, PRELOADED, runs), 4),
        }


def table(found: dict[str, Any]) -> Table:
    """One row a figure."""
    shown = Table(title="Study files in Airflow")
    shown.add_column("what")
    shown.add_column("s", justify="right")
    shown.add_row(f"{found['files']} study files parsed together", f"{found['parse_100_files_s']:.2f}")
    shown.add_row("DAG file in a fresh process, over airflow.sdk", f"{found['import_over_sdk_s']:.3f}")
    shown.add_row(
        "DAG file in a task process, which is forked preloaded", f"{found['task_start_1_file_s']:.3f}"
    )
    shown.add_row(f"the same, {found['files']} study files", f"{found['task_start_100_files_s']:.3f}")
    return shown


def parse(dags: Path) -> float:
    """Seconds to build the DAGs of all study files, imports done before."""
    start = time.perf_counter()
    found = study_dags([dags / "studies"])
    taken_s = time.perf_counter() - start
    if len(found) != FILES:
        raise RuntimeError(f"expected {FILES} DAGs, got {len(found)}")
    return taken_s


def task_start(dags: Path, loaded: str, runs: int) -> float:
    """Median seconds of importing the DAG file as a task process does: only the asked DAG is built."""
    environment = os.environ | {"_AIRFLOW_PARSING_CONTEXT_DAG_ID": "hpo_s000"}
    command = [sys.executable, "-c", loaded + TIMED.format(path=str(dags / "hpo_studies.py"))]
    taken_s = []
    for _ in range(runs):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        taken_s.append(float(done.stdout.split()[-1]))
    return statistics.median(taken_s)
