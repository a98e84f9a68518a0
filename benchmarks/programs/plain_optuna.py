"""One of several plain Optuna workers over a shared study: each trial gets the configuration of its number.

python plain_optuna.py STORAGE_URL WORK.json     (see house_prices.py; the study `plain` exists)
"""

import sys
from collections import defaultdict
from itertools import chain
from typing import Any

import optuna
from house_prices import read_work, train
from optuna.samplers import BaseSampler


class Listed(BaseSampler):  # type: ignore[misc]
    """Hands out the configuration with the trial's number."""

    def __init__(self, configurations: list[dict[str, Any]]) -> None:
        self._configurations = configurations

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        del study, trial
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        del study, trial, search_space
        return {}

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        del study, param_distribution
        return self._configurations[trial.number]["params"][param_name]


def main() -> None:
    url, path = sys.argv[1:]
    work = read_work(path)
    configurations = work["configurations"]
    values = defaultdict(list)
    for name, value in chain.from_iterable(each["params"].items() for each in configurations):
        values[name].append(value)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.load_study(study_name="plain", storage=url, sampler=Listed(configurations))
    while (trial := study.ask()).number < len(configurations):
        for name in configurations[trial.number]["params"]:
            if isinstance(values[name][0], str):
                trial.suggest_categorical(name, sorted(set(values[name])))
            else:
                trial.suggest_float(name, min(values[name]), max(values[name]))
        study.tell(trial, train(work, trial.number))
    study.tell(trial, state=optuna.trial.TrialState.FAIL)  # one more than there is work


if __name__ == "__main__":
    main()
