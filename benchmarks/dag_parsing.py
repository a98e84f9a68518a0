"""What study files cost Airflow: parsing 100 of them together, and what they add to one task's start.

    .venv/bin/python benchmarks/dag_parsing.py

Prints one JSON line: seconds to build 100 DAGs in a warm process, and the median seconds that a task process needs to
import the DAG file with 1 and with 100 study files beside it.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from hpo_tasks.flow.dags import study_dags

ROOT = Path(__file__).parents[1]
IMPORT = "import time; start = time.perf_counter(); import runpy; runpy.run_path({path!r}); print(time.perf_counter() - start)"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        dags = Path(folder)
        (dags / "studies").mkdir()
        (dags / "hpo_studies.py").write_bytes((ROOT / "dags" / "hpo_studies.py").read_bytes())
        text = (ROOT / "dags" / "studies" / "house_prices.yaml").read_text()
        (dags / "studies" / "s000.yaml").write_text(text)
        one_s = task_start(dags)
        for number in range(1, 100):
            (dags / "studies" / f"s{number:03d}.yaml").write_text(text)
        result = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
            "parse_100_files_s": round(parse(dags), 2),
            "task_start_1_file_s": round(one_s, 3),
            "task_start_100_files_s": round(task_start(dags), 3),
        }
    print(json.dumps(result))


def parse(dags: Path) -> float:
    """Seconds to build the DAGs of all study files, imports done before."""
    start = time.perf_counter()
    found = study_dags([dags / "studies"])
    taken_s = time.perf_counter() - start
    if len(found) != 100:
        sys.exit(f"expected 100 DAGs, got {len(found)}")
    return taken_s


def task_start(dags: Path, runs: int = 5) -> float:
    """Median seconds of importing the DAG file as a task process does: only the asked DAG is built."""
    environment = os.environ | {"_AIRFLOW_PARSING_CONTEXT_DAG_ID": "hpo_s000"}
    script = "import airflow.sdk, hpo_tasks.flow.dags; " + IMPORT.format(path=str(dags / "hpo_studies.py"))
    command = [sys.executable, "-c", script]
    return statistics.median(
        float(
            subprocess.run(
                command, env=environment, capture_output=True, text=True, check=True
            ).stdout.split()[-1]
        )
        for _ in range(runs)
    )


if __name__ == "__main__":
    main()
