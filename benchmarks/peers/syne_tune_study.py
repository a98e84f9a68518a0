"""A study of Syne Tune with its local backend and two workers.

python syne_tune_study.py WORK.json RESULT.json [POLLING_SLEEP_S]
"""

import logging
import sys
import time
from pathlib import Path

from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend import LocalBackend
from syne_tune.config_space import randint
from syne_tune.optimizer.baselines import RandomSearch
from work import read, write

path, found, *sleep_s = sys.argv[1:]
count = read(path)["count"]
logging.getLogger().setLevel(logging.ERROR)
tuner = Tuner(
    trial_backend=LocalBackend(entry_point=str(Path(__file__).with_name("syne_tune_trial.py"))),
    scheduler=RandomSearch(
        {"index": randint(0, count - 1), "work": path},
        metrics=["loss"],
        points_to_evaluate=[{"index": index} for index in range(count)],
    ),
    stop_criterion=StoppingCriterion(max_num_trials_started=count - 1),  # it stops at one more
    wait_trial_completion_when_stopping=True,
    n_workers=2,
    **({"sleep_time": float(sleep_s[0])} if sleep_s else {}),
)
began = time.perf_counter()
tuner.run()
wall_s = time.perf_counter() - began
results = tuner.tuning_status.get_dataframe()
write(found, wall_s, dict(zip(results["index"].astype(int), results["loss"].astype(float), strict=True)))
