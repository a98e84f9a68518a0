"""A DAG file imports the spec in every task process: it brings nothing heavy along."""

import subprocess
import sys

HEAVY = (
    "airflow",
    "boto3",
    "croniter",
    "numpy",
    "optuna",
    "pandas",
    "re2",
    "ruamel",
    "sklearn",
    "torch",
    "xgboost",
)


def test_importing_the_spec_imports_nothing_heavy():
    code = f"""
import sys
import hpo_tasks.spec, hpo_tasks.spec.describe
print(*sorted({{name.split('.')[0] for name in sys.modules}} & set({HEAVY!r})))
"""

    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert process.stdout.split() == []
