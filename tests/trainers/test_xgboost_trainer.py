"""What only boosting does: reports while it learns, early stopping, boosters."""

import json

import pytest
import xgboost as xgb

from hpo_tasks.errors import InputError


def booster_of(trained):
    return xgb.Booster(model_file=trained.model_dir / "model.ubj")


@pytest.mark.parametrize(("rounds", "steps"), [(7, range(1, 8)), (250, range(3, 250, 3))])
def test_reports_each_round_but_at_most_a_hundred(rounds, steps, train):
    trained = train(
        "xgboost", "sklearn:diabetes", {"n_estimators": rounds, "max_depth": 2}, metrics=["rmse", "mae"]
    )

    assert list(steps) == [report["step"] for report in trained.reports]
    assert all(report.keys() == {"step", "rmse"} for report in trained.reports)


def test_without_early_stopping_the_last_report_is_the_result(train):
    trained = train("xgboost", "sklearn:diabetes", {"n_estimators": 9}, metrics=["rmse"])
    assert trained.values["rmse"] == pytest.approx(trained.reports[-1]["rmse"], rel=1e-5)


@pytest.mark.parametrize(
    ("data", "metric", "better"),
    [("diabetes", "rmse", min), ("wine", "accuracy", max), ("breast_cancer", "roc_auc", max)],
)
def test_early_stopping_keeps_the_best_round(data, metric, better, train):
    trained = train(
        "xgboost",
        f"sklearn:{data}",
        {"learning_rate": 0.3},
        metrics=[metric],
        n_estimators=90,
        early_stopping_rounds=8,
    )
    best = better(trained.reports, key=lambda report: report[metric])
    assert len(trained.reports) < 90
    assert best["step"] == trained.side_file["rounds"] == booster_of(trained).num_boosted_rounds()
    assert trained.values[metric] == pytest.approx(best[metric], rel=1e-5)


def test_early_stopping_in_folds_gives_the_final_model_the_mean_of_their_rounds(train):
    trained = train(
        "xgboost",
        "sklearn:diabetes",
        {"learning_rate": 0.3},
        metrics=["rmse"],
        validation={"folds": 3},
        n_estimators=90,
        early_stopping_rounds=5,
    )
    assert 1 <= booster_of(trained).num_boosted_rounds() < 60


@pytest.mark.parametrize("options", [{}, {"early_stopping_rounds": 5}])
def test_asked_to_stop_ends_after_the_round_with_the_values_so_far(options, train):
    trained = train(
        "xgboost", "sklearn:diabetes", {"n_estimators": 50}, metrics=["rmse"], stop=True, **options
    )
    assert [report["step"] for report in trained.reports] == [1]
    assert trained.values["rmse"] == pytest.approx(trained.reports[0]["rmse"], rel=1e-5)
    assert booster_of(trained).num_boosted_rounds() == 1


def test_n_estimators_of_the_options_is_the_default_and_a_parameter_wins(train):
    rounds = [
        booster_of(
            train("xgboost", "sklearn:iris", params, metrics=["accuracy"], n_estimators=4)
        ).num_boosted_rounds()
        for params in ({}, {"n_estimators": 6})
    ]
    assert rounds == [4, 6]


@pytest.mark.parametrize(
    "params", [{"booster": "dart", "rate_drop": 0.2, "skip_drop": 0.5}, {"booster": "gblinear", "eta": 0.3}]
)
def test_the_other_boosters_and_their_own_parameters(params, train):
    trained = train(
        "xgboost", "sklearn:diabetes", {**params, "n_estimators": 20}, metrics=["r2"], early_stopping_rounds=5
    )
    assert trained.values["r2"] > 0
    config = json.loads(booster_of(trained).save_config())
    assert config["learner"]["learner_train_param"]["booster"] == params["booster"]


def test_a_booster_that_does_not_exist_is_one_plain_line(train):
    with pytest.raises(InputError, match=r"^xgboost: Unknown gbm type tree$"):
        train("xgboost", "sklearn:diabetes", {"booster": "tree"}, metrics=["rmse"])


def test_a_column_name_that_xgboost_does_not_allow(train, write_table, mixed_table):
    table = mixed_table("regression").rename(columns={"size": "size [m2]"})
    with pytest.raises(InputError, match=r"'size \[m2\]': XGBoost allows no"):
        train("xgboost", write_table(table, "csv"), metrics=["rmse"])
