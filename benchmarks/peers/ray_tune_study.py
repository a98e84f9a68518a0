"""A study of Ray Tune with two trials at a time. Ray itself runs before the clock starts, as Airflow does for ours.

python ray_tune_study.py WORK.json RESULT.json
"""

import sys
import tempfile
import time
from typing import Any

import ray
from ray import tune
from work import read, result, write

path, found = sys.argv[1:]
count = read(path)["count"]


def trial(config: dict[str, Any]) -> dict[str, float]:
    return {"loss": result(read(path), config["index"])}


with tempfile.TemporaryDirectory() as folder:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    tuner = tune.Tuner(
        tune.with_resources(trial, {"cpu": 1}),
        param_space={"index": tune.grid_search(list(range(count)))},
        tune_config=tune.TuneConfig(metric="loss", mode="min", max_concurrent_trials=2),
        run_config=tune.RunConfig(storage_path=folder, verbose=0),
    )
    began = time.perf_counter()
    grid = tuner.fit()
    wall_s = time.perf_counter() - began
    write(found, wall_s, {row.config["index"]: row.metrics["loss"] for row in grid})
    ray.shutdown()
