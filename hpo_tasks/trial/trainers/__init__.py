"""The built-in trainers: `xgboost` and `random_forest` on a table, with a seeded validation split.

    tables.py           reads a CSV or Parquet file, or a data set of scikit-learn
    features.py         table → numbers and categories; the schema that a prediction has to repeat
    splits.py           holdout and folds; `train_samples`
    scores.py           metrics by name
    parameters.py       which parameters an estimator knows
    evaluation.py       train, score, refit, save: the same for both
    xgboost_trainer.py, random_forest_trainer.py        what differs

Importing this package imports no library: the runner imports it in every job, these jobs alone need scikit-learn.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hpo_tasks.errors import InputError
from hpo_tasks.trial.session import Session
from hpo_tasks.trial.trainers.options import Options

if TYPE_CHECKING:
    from hpo_tasks.trial.trainers.evaluation import MakeTrainer


MODULES = {
    "xgboost": ("hpo_tasks.trial.trainers.evaluation", "hpo_tasks.trial.trainers.xgboost_trainer"),
    "random_forest": (
        "hpo_tasks.trial.trainers.evaluation",
        "hpo_tasks.trial.trainers.random_forest_trainer",
    ),
}
"""What each trainer imports when it is used, for whoever can import it beforehand."""


def run(name: str, session: Session, options: Mapping[str, Any]) -> dict[str, float]:
    """Train one configuration, save its model in `session.model_dir` and return its metrics.

    Args:
        name: `xgboost` or `random_forest`.
        session: parameters, inputs (`train`, optionally `valid`), seed, threads and where the model goes.
        options: `trial.options` as validated, with the objectives' and thresholds' names as `metrics`.

    Returns:
        Every metric of the options, its `<metric>_std` over folds, `train_rows` and `fit_s`; of the saved model,
        or over the folds' models.

    Raises:
        InputError: the table, a parameter or an option cannot be used; one sentence that says why.
        UnavailableError, RefusedError: the object store that holds a table does not answer, or refuses.
    """
    from hpo_tasks.trial.trainers.evaluation import evaluate  # noqa: PLC0415 - heavy

    return evaluate(_make_trainer(name), session, Options.of(options))


def _make_trainer(name: str) -> "MakeTrainer":
    match name:
        case "xgboost":
            from hpo_tasks.trial.trainers import xgboost_trainer  # noqa: PLC0415 - heavy

            return xgboost_trainer.make_trainer
        case "random_forest":
            from hpo_tasks.trial.trainers import random_forest_trainer  # noqa: PLC0415 - heavy

            return random_forest_trainer.make_trainer
    raise InputError(f"trainer: unknown {name!r}; use xgboost or random_forest")
