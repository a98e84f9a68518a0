"""What holds for every built-in trainer."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hpo_tasks.errors import InputError

METRICS = {
    "regression": ["rmse", "mae", "r2", "mape"],
    "classification": ["log_loss", "roc_auc", "accuracy", "balanced_accuracy", "f1"],
}
SMALL = {"xgboost": {"n_estimators": 15, "max_depth": 3}, "random_forest": {"n_estimators": 15}}

BOTH_TRAINERS = pytest.mark.parametrize("trainer", ["xgboost", "random_forest"])
BOTH_TASKS = pytest.mark.parametrize("task", ["regression", "classification"])


@BOTH_TRAINERS
@pytest.mark.parametrize(
    "table", [*itertools.product(["regression", "classification"], ["csv", "parquet"])], ids="-".join
)
@pytest.mark.parametrize("validation", [{"holdout": 0.25}, {"folds": 3}], ids=["holdout", "folds"])
def test_all_metrics_and_a_model_from_a_table_with_gaps_and_categories(
    trainer, table, validation, train, mixed_file
):
    task, suffix = table
    uri = mixed_file(task, suffix)
    trained = train(trainer, uri, SMALL[trainer], metrics=METRICS[task], validation=validation, drop=["id"])

    folds = "folds" in validation
    spread = {f"{name}_std" for name in METRICS[task]} if folds else set()
    assert {*METRICS[task], *spread, "train_rows", "fit_s"} == set(trained.values)
    assert trained.values["train_rows"] == (300 if folds else 225)
    assert trained.values["r2" if task == "regression" else "balanced_accuracy"] > 0.6
    model = "model.ubj" if trainer == "xgboost" else "model.skops"
    assert {model, "model.json"} == {path.name for path in trained.model_dir.iterdir()}


@BOTH_TRAINERS
def test_the_side_file_says_what_a_prediction_has_to_repeat(trainer, train, mixed_file):
    uri = mixed_file("classification", "parquet")
    trained = train(trainer, uri, SMALL[trainer], metrics=["log_loss"], drop=["id"])

    about = trained.side_file
    assert about["features"] == ["size", "rooms", "color", "grade", "garden", "empty"]
    assert about["categories"] == {
        "color": ["blau, hell", "green", "red"],
        "grade": ["A", "B"],
        "garden": ["False", "True"],
    }
    assert about["classes"] == ["cheap", "dear", "fair"]
    assert SMALL[trainer] == about["params"]
    assert trained.values == about["metrics"]
    assert about["versions"]["scikit-learn"]


@BOTH_TRAINERS
@BOTH_TASKS
def test_the_same_seed_gives_the_same_values_to_the_last_bit(trainer, task, train, mixed_file):
    uri = mixed_file(task, "parquet")
    options = {"metrics": METRICS[task], "drop": ["id"]}
    params = SMALL[trainer] | ({"subsample": 0.7} if trainer == "xgboost" else {"max_features": 0.5})
    first, second = (train(trainer, uri, params, **options).values for _ in range(2))

    assert {name: first[name] for name in METRICS[task]} == {name: second[name] for name in METRICS[task]}


@BOTH_TRAINERS
def test_another_seed_in_the_parameters_gives_another_model(trainer, train):
    params = SMALL[trainer] | ({"subsample": 0.5} if trainer == "xgboost" else {})
    first, second = (
        train(trainer, "sklearn:diabetes", {**params, "random_state": seed}, metrics=["rmse"]).values["rmse"]
        for seed in (1, 2)
    )
    assert first != second


PREDICT = {
    "xgboost": """
import xgboost
def predict(folder, about, rows):
    for column in about["features"]:
        if column in about["categories"]:
            values = about["categories"][column]
            codes = pd.Index(values).get_indexer(rows[column].astype("object").astype("str"))
            rows[column] = pd.Categorical.from_codes(codes, categories=values)
        else:
            rows[column] = rows[column].astype("float32")
    booster = xgboost.Booster(model_file=f"{folder}/{about['model']}")
    return booster.predict(xgboost.DMatrix(rows, enable_categorical=True))
""",
    "random_forest": """
import skops.io
def predict(folder, about, rows):
    assert all(name.startswith(("numpy.", "sklearn.")) for name in about["trusted_types"]), about["trusted_types"]
    pipeline = skops.io.load(f"{folder}/{about['model']}", trusted=about["trusted_types"])
    for column in about["categories"]:
        rows[column] = rows[column].astype("object").astype("str")
    return pipeline.predict_proba(rows) if about["classes"] else pipeline.predict(rows)
""",
}
PREDICT_ALL = """
import json, sys, numpy as np, pandas as pd
for folder, table, output in json.loads(sys.argv[1]):
    about = json.load(open(f"{folder}/model.json"))
    np.save(output, predict(folder, about, pd.read_parquet(table)[about["features"]]))
"""


@BOTH_TRAINERS
def test_a_fresh_process_predicts_the_same_with_the_librarys_own_loader(
    trainer, train, mixed_table, tmp_path: Path
):
    """The judged model is the saved one: scoring its predictions for the validation rows gives the trial's metric."""
    done = {}
    for task, metric in (("regression", "mae"), ("classification", "log_loss")):
        table = mixed_table(task)
        judged = table.iloc[200:].reset_index(drop=True)
        judged.loc[0, "color"] = "never seen"
        inputs = {}
        for name, part in (("train", table.iloc[:200]), ("valid", judged)):
            inputs[name] = str(tmp_path / f"{task}-{name}.parquet")
            part.to_parquet(inputs[name], index=False)
        trained = train(trainer, inputs, SMALL[trainer], metrics=[metric], drop=["id"])
        done[task] = trained, metric, judged["target"], inputs["valid"], str(tmp_path / f"{task}.npy")
    work = [(str(trained.model_dir), table, output) for trained, _, _, table, output in done.values()]
    # One process for both: most of its time is spent importing.
    program = "import numpy as np, pandas as pd\n" + PREDICT[trainer] + PREDICT_ALL
    subprocess.run([sys.executable, "-c", program, json.dumps(work)], check=True)

    for task, (trained, metric, target, _, output) in done.items():
        predicted = np.load(output)
        if task == "regression":
            loss = np.abs(predicted - target.to_numpy()).mean()
        else:
            codes = target.map(trained.side_file["classes"].index)
            picked = predicted[np.arange(len(codes)), codes]
            loss = -np.log(np.maximum(picked, np.finfo(predicted.dtype).eps)).mean()
        assert trained.values[metric] == pytest.approx(loss, rel=1e-6)


@BOTH_TRAINERS
def test_folds_report_the_mean_so_far_and_keep_a_model_of_all_rows(trainer, train):
    trained = train(trainer, "sklearn:diabetes", SMALL[trainer], metrics=["rmse"], validation={"folds": 4})

    assert [report["step"] for report in trained.reports] == [1, 2, 3, 4]
    assert trained.values["rmse"] == trained.reports[-1]["rmse"]
    assert trained.values["rmse_std"] > 0
    assert trained.values["train_rows"] == 442


@BOTH_TRAINERS
def test_asked_to_stop_between_folds_ends_with_what_it_has(trainer, train):
    trained = train(
        trainer, "sklearn:diabetes", SMALL[trainer], metrics=["rmse"], validation={"folds": 4}, stop=True
    )
    assert [report["step"] for report in trained.reports] == [1]
    assert trained.values["rmse"] == trained.reports[0]["rmse"]
    assert list(trained.model_dir.iterdir()) == []


@BOTH_TRAINERS
def test_train_samples_takes_rows_from_training_and_none_from_validation(trainer, train):
    less, more = (
        train(trainer, "sklearn:diabetes", {**SMALL[trainer], "train_samples": rows}, metrics=["rmse"]).values
        for rows in (40, 300)
    )
    assert (less["train_rows"], more["train_rows"]) == (40, 300)
    assert more["rmse"] < less["rmse"]


@BOTH_TRAINERS
def test_an_unknown_parameter_is_named_with_close_ones(trainer, train):
    with pytest.raises(
        InputError, match=r"^parameter 'max_deph' is unknown .* did you mean max_depth"
    ) as caught:
        train(trainer, "sklearn:diabetes", {"max_deph": 3}, metrics=["rmse"])
    assert "\n" not in str(caught.value)


@BOTH_TRAINERS
def test_a_parameter_of_the_trainer_itself_is_refused(trainer, train):
    with pytest.raises(InputError, match=r"'n_jobs' is set by the trainer: use trial\.resources\.threads"):
        train(trainer, "sklearn:diabetes", {"n_jobs": 3}, metrics=["rmse"])


@BOTH_TRAINERS
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"max_depth": -3}, "max_depth"),
        ({"train_samples": 0.5}, "train_samples: must be a whole number of at least 2, got 0.5"),
        ({"train_samples": 1}, "train_samples: must be a whole number of at least 2, got 1"),
    ],
)
def test_a_value_that_the_library_refuses_becomes_one_line(trainer, params, message, train):
    with pytest.raises(InputError, match=message) as caught:
        train(trainer, "sklearn:diabetes", params, metrics=["rmse"])
    assert "\n" not in str(caught.value)


@BOTH_TRAINERS
def test_binary_classes_of_any_kind(trainer, train, write_table, mixed_table):
    table = mixed_table("regression")
    table["target"] = table["target"] > table["target"].median()
    trained = train(
        trainer, write_table(table, "csv"), SMALL[trainer], metrics=METRICS["classification"], drop=["id"]
    )
    assert trained.values["roc_auc"] > 0.8
    assert trained.side_file["classes"] == [False, True]


def test_an_unknown_trainer_is_refused(train):
    with pytest.raises(InputError, match="use xgboost or random_forest"):
        train("lightgbm", "sklearn:iris", metrics=["accuracy"])


def test_importing_the_package_imports_no_library():
    program = "import sys, hpo_tasks.trial.trainers; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {"numpy", "pandas", "pyarrow", "sklearn", "xgboost", "skops", "boto3"}
    assert set() == heavy & set(done.stdout.split())
