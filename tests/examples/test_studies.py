"""The example studies: valid, and every one of their parameters is taken by what they run."""

import json
import os
import subprocess
from datetime import date
from pathlib import Path

import pytest

from hpo_tasks.examples.house_prices import generate
from hpo_tasks.spec import StudySpec, active, load
from hpo_tasks.trial import trainers
from hpo_tasks.trial.command_line import render_command
from hpo_tasks.trial.session import Session

STUDIES = Path(__file__).parents[2] / "dags" / "studies"
FILES = sorted(STUDIES.glob("*.yaml"))


def first_and_last_values(spec: StudySpec) -> list[dict]:
    """Two configurations that between them make every parameter active and use both ends of every choice."""
    points = [{}, {}]
    for name, parameter in spec.search.items():
        ends = parameter.choices if parameter.type == "categorical" else (parameter.low, parameter.high)
        points[0][name], points[1][name] = ends[0], ends[-1]
    return [{name: point[name] for name in active(spec.search, point)} for point in points]


def test_there_are_studies_for_both_trainers_and_a_command():
    trials = [load(path).trial for path in FILES]
    assert {trial.trainer for trial in trials} == {"xgboost", "random_forest", None}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_all_parameters_are_active_in_one_of_two_configurations(path):
    spec = load(path)
    assert {name for point in first_and_last_values(spec) for name in point} == spec.search.keys()


@pytest.mark.parametrize("name", ["demo", "house_prices", "house_prices_forest"])
def test_the_trainer_takes_the_studys_parameters_and_options(name, tmp_path):
    spec = load(STUDIES / f"{name}.yaml")
    train = spec.trial.inputs["train"]
    if not train.startswith("sklearn:"):
        [table] = generate(tmp_path, date(2026, 3, 1), date(2026, 3, 1), rows=600)
        train = str(table)
    (tmp_path / "model").mkdir()
    metrics = [objective.metric for objective in spec.objective]
    for point in first_and_last_values(spec):
        session = Session(
            params={**point, **({"n_estimators": 5} if "n_estimators" in point else {})},
            inputs={"train": train},
            seed=1,
            threads=1,
            checkpoint_dir=tmp_path,
            model_dir=tmp_path / "model",
            _metrics=tmp_path / "metrics.jsonl",
            _stop=tmp_path / "stop",
        )
        options = {**spec.trial.options, "metrics": metrics}
        if "n_estimators" in options:
            options["n_estimators"] = 5
        values = trainers.run(spec.trial.trainer, session, options)
        assert values.keys() == {*metrics, "train_rows", "fit_s"}


@pytest.fixture
def cost_of(tmp_path):
    """Runs the awk study's program as the runner does: with nothing but PATH and its metrics file."""
    spec = load(STUDIES / "hello_awk.yaml")

    def run(**params) -> list[dict]:
        metrics = tmp_path / "metrics.jsonl"
        metrics.unlink(missing_ok=True)
        subprocess.run(
            render_command(spec.trial.command, params),
            cwd=STUDIES / spec.trial.code.dir,
            env={"PATH": os.environ["PATH"], "HPO_METRICS": str(metrics)},
            check=True,
        )
        return [json.loads(line) for line in metrics.read_text().splitlines()]

    return run


def test_the_awk_program_reports_every_four_weeks_and_repeats_itself(cost_of):
    policy = {"reorder_point": 280, "order_quantity": 240, "supplier": "far"}
    reports = cost_of(**policy)
    assert [report["step"] for report in reports] == list(range(28, 365, 28))
    assert reports == cost_of(**policy)


def test_a_policy_in_the_middle_beats_the_corners(cost_of):
    """There is something to find: neither the smallest nor the largest values are best."""
    good = cost_of(reorder_point=280, order_quantity=240, supplier="far")[-1]["cost_eur_per_day"]
    corners = [
        cost_of(reorder_point=point, order_quantity=quantity, supplier=supplier)[-1]["cost_eur_per_day"]
        for point in (0, 400)
        for quantity in (20, 800)
        for supplier in ("near", "far")
    ]
    assert good < 0.95 * min(corners)
