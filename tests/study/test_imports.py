"""DAG files and the trigger form import the light half of the package: no heavy library may come with it."""

import json
import subprocess
import sys

LIGHT = [
    "identity",
    "records",
    "plan",
    "attempts",
    "summary",
    "verdict",
    "space",
    "cost",
    "forecast",
    "machine_choice",
]
HEAVY = ["optuna", "sqlalchemy", "numpy", "scipy", "boto3", "sklearn", "pandas", "airflow"]


def test_light_modules_import_no_heavy_library():
    names = [f"hpo_tasks.study.{name}" for name in LIGHT]
    code = f"import json, sys, {', '.join(names)}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert set(names) <= loaded
    assert not loaded & set(HEAVY)
