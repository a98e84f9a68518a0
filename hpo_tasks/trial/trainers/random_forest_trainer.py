"""Random forests: a scikit-learn pipeline of encoding, imputation and forest (`trainer: random_forest`)."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from hpo_tasks.errors import InputError
from hpo_tasks.trial.session import Session
from hpo_tasks.trial.trainers.features import Rows, Schema
from hpo_tasks.trial.trainers.options import Options
from hpo_tasks.trial.trainers.parameters import estimator_params

TAKEN = {"n_jobs": "trial.resources.threads", "warm_start": "n_estimators", "verbose": "the trial's log"}


def make_trainer(schema: Schema, session: Session, options: Options) -> "RandomForestTrainer":
    """The trainer of one trial.

    Raises:
        InputError: a parameter that the forest does not take.
    """
    estimator = RandomForestRegressor if schema.task == "regression" else RandomForestClassifier
    params = estimator_params(session.params, estimator().get_params(), TAKEN)
    if options.n_estimators is not None:
        params.setdefault("n_estimators", options.n_estimators)
    return RandomForestTrainer(
        estimator=estimator,
        params={"random_state": session.seed, **params, "n_jobs": session.threads},
        schema=schema,
    )


@dataclass(frozen=True, slots=True)
class RandomForestModel:
    pipeline: Pipeline
    rounds: int | None = None

    def predict(self, features: pd.DataFrame) -> np.ndarray:
        if isinstance(self.pipeline[-1], RandomForestClassifier):
            return np.asarray(self.pipeline.predict_proba(features))
        return np.asarray(self.pipeline.predict(features))

    def save(self, folder: Path) -> Mapping[str, Any]:
        path = folder / "model.skops"
        skops.io.dump(self.pipeline, path, compression=zipfile.ZIP_DEFLATED, compresslevel=1)
        return {
            "trainer": "random_forest",
            "model": path.name,
            "trusted_types": skops.io.get_untrusted_types(file=path),
        }


@dataclass(frozen=True, slots=True)
class RandomForestTrainer:
    """One configuration.

    Attributes:
        estimator: class of the forest.
        params: its constructor's arguments.
        schema: of the table.
    """

    estimator: type[RandomForestRegressor | RandomForestClassifier]
    params: Mapping[str, Any]
    schema: Schema

    def fit(
        self,
        train: Rows,
        valid: Rows | None,  # noqa: ARG002 - a forest is not watched while it grows
        *,
        rounds: int | None = None,  # noqa: ARG002
        report: bool = False,  # noqa: ARG002
    ) -> RandomForestModel:
        """See `evaluation.Trainer`."""
        pipeline = Pipeline([("features", _encoder(self.schema)), ("forest", self.estimator(**self.params))])
        try:
            pipeline.fit(train.features, train.target)
        except ValueError as error:
            raise InputError(f"random_forest: {str(error).splitlines()[0]}") from None
        return RandomForestModel(pipeline)


def _encoder(schema: Schema) -> ColumnTransformer:
    """Categories become their codes, unknown and missing ones -1; missing numbers become the column's median."""
    categorical = list(schema.categories)
    numeric = [name for name in schema.features if name not in schema.categories]
    codes = OrdinalEncoder(
        categories=[list(values) for values in schema.categories.values()],
        handle_unknown="use_encoded_value",
        unknown_value=-1,
        dtype=np.float32,
    )
    medians = SimpleImputer(strategy="median", keep_empty_features=True)
    return ColumnTransformer([("categories", codes, categorical), ("numbers", medians, numeric)])
