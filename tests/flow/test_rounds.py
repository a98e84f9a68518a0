"""How a study's rounds repeat: in a loop where Airflow offers it, unrolled where it does not or must not."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import NamedTuple

import airflow.sdk
import pytest
from airflow.sdk import DAG

from hpo_tasks.errors import InputError, SpecError
from hpo_tasks.flow.dags import adhoc_dag, raise_broken, study_dags
from hpo_tasks.flow.repetition import check_rounds, has_loops, most_rounds, with_rounds
from hpo_tasks.flow.rounds import build_study, gate
from tests.flow.steps.conftest import SPEC, spec_with

ROUND = ("ask", "train", "tell")


@pytest.fixture
def unrolled(monkeypatch):
    """The setting that forbids loops."""
    monkeypatch.setenv("HPO_UNROLL_ROUNDS", "1")


def study_of(rounds):
    with DAG(dag_id="hpo_rounds", start_date=datetime(2026, 1, 1, tzinfo=UTC), schedule=None) as dag:
        build_study(dag, rounds=rounds, slots=3, spec=spec_with(), study_file=None)
    return dag


def names(*rounds):
    return [f"round_{number:02d}.{task}" for number in rounds for task in ROUND]


def test_unrolled_every_round_has_its_tasks(unrolled):
    dag = study_of(3)
    assert dag.task_ids == ["prepare", *names(0, 1, 2), "conclude"]
    assert dag.get_task("conclude").upstream_task_ids == {"round_02.tell"}
    assert dag.get_task("round_01.ask").upstream_task_ids == {"prepare", "round_00.tell"}
    assert [dag.get_task(f"round_{number:02d}.ask").round_ for number in range(3)] == [0, 1, 2]


def test_unrolled_the_end_of_the_study_skips_all_that_is_left(unrolled):
    """Ask skips its own round too: there is nothing to train. Tell has nothing to skip in the last round."""
    dag = study_of(3)
    assert dag.get_task("round_01.ask").skips == ["round_01.train", "round_01.tell", *names(2)]
    assert dag.get_task("round_01.tell").skips == names(2)
    assert dag.get_task("round_02.tell").skips == []


def test_rounds_repeat_as_this_airflow_can():
    """With a loop the DAG is as large for 1,000 rounds as for one, and conclude waits for the gate."""
    rounds = 1000 if has_loops() else 2
    dag = study_of(rounds)
    if has_loops():
        assert dag.task_ids == ["prepare", "round.ask", "round.train", "round.tell", "round.gate", "conclude"]
        assert dag.get_task("conclude").upstream_task_ids == {"round.gate"}
        assert dag.task_group.get_child_by_label("round").max_iterations == rounds
        ask = dag.get_task("round.ask")
        assert (ask.round_, ask.skips) == (None, ["round.train", "round.tell"])
    else:
        assert dag.task_ids == ["prepare", *names(0, 1), "conclude"]


@pytest.mark.parametrize("any_round", range(2))
def test_a_rounds_tasks_are_the_same_either_way(any_round, monkeypatch):
    """One body: what is wired within a round does not depend on how it repeats."""

    def shape():
        dag = study_of(2)
        group = next(iter(task.rpartition(".")[0] for task in dag.task_ids if task.endswith(".ask")))
        group = group if group == "round" else f"round_{any_round:02d}"
        ask, train, tell = (dag.get_task(f"{group}.{name}") for name in ROUND)
        assert tell.ask_id == ask.task_id
        assert (train.upstream_task_ids, tell.upstream_task_ids) == (
            {ask.task_id},
            {ask.task_id, train.task_id},
        )
        return tell.trigger_rule, train.partial_kwargs["max_active_tis_per_dagrun"], train.operator_class

    here = shape()
    monkeypatch.setenv("HPO_UNROLL_ROUNDS", "1")
    assert shape() == here


class Decision(NamedTuple):
    """Stands in for Airflow's where there is none."""

    stop: bool
    reason: str | None


@pytest.mark.parametrize(
    ("told", "end"),
    [
        ({"round": 3, "end": None}, None),
        ({"round": 3, "end": "the budget is used"}, "the budget is used"),
        (None, None),
    ],
    ids=["goes on", "at its end", "marked by hand"],
)
def test_the_gate_ends_the_loop_with_the_reason_that_tell_gave(told, end, monkeypatch):
    """It looks at nothing else: not at the iteration's number, which depends on Airflow's version."""
    if not has_loops():
        monkeypatch.setattr(airflow.sdk, "LoopDecision", Decision, raising=False)
    decision = gate(loop=SimpleNamespace(result=told))
    assert (decision.stop, decision.reason) == (end is not None, end)


def test_the_bound_on_rounds_is_this_airflows():
    assert most_rounds() == (1000 if has_loops() else 50)


def test_unrolled_50_rounds_are_the_most(unrolled):
    """The message says why, and what lifts the bound."""
    why = "where rounds are unrolled (in a loop, from Airflow 3.4 on, 1000)"
    with pytest.raises(SpecError) as caught:
        with_rounds(spec_with(max_rounds=51), source="mine.yaml")
    assert str(caught.value) == f"mine.yaml: max_rounds: must be at most 50 {why}, got 51"
    with pytest.raises(SpecError) as caught:
        check_rounds(spec_with(budget={"trials": 101}), most_rounds())
    expected = f"budget.trials: must be at most 100 (50 rounds of 2) {why}, got 101; raise batch_size"
    assert str(caught.value) == expected


def test_a_dag_with_fewer_rounds_has_its_own_bound():
    """A run cannot ask for more than its DAG was made with."""
    with pytest.raises(SpecError) as caught:
        check_rounds(spec_with(max_rounds=9, budget={"trials": 17}), 8)
    assert [str(problem) for problem in caught.value.problems] == [
        "max_rounds: must be at most 8 in this DAG, got 9",
        "budget.trials: must be at most 16 (8 rounds of 2) in this DAG, got 17; raise batch_size",
    ]


@pytest.mark.parametrize(("trials", "rounds"), [(4, 4), (60, 50)])
def test_the_default_stays_within_the_bound(unrolled, trials, rounds):
    """Twice what the budget needs, at least 4."""
    assert with_rounds(spec_with(budget={"trials": trials})).max_rounds == rounds


def test_a_file_with_too_many_rounds_is_one_import_error(unrolled, tmp_path):
    """The other files are DAGs all the same."""
    for stem, changes in (("good", {}), ("long", {"max_rounds": 60})):
        (tmp_path / f"{stem}.json").write_text(json.dumps(SPEC | changes))
    assert set(study_dags([tmp_path])) == {"hpo_good"}
    with pytest.raises(InputError, match=r"^long\.json: max_rounds: must be at most 50 [^\n]*$"):
        raise_broken([tmp_path])


def test_adhoc_says_how_many_rounds_it_has():
    dag = adhoc_dag()
    assert f"up to {most_rounds()} rounds" in dag.doc_md
    assert dag.get_task("prepare").rounds == most_rounds()


def test_no_task_goes_before_those_of_other_studies():
    """By Airflow's own weights a study that begins would hold up all that are about to end."""
    assert {(task.weight_rule, task.priority_weight) for task in adhoc_dag().tasks} == {("absolute", 1)}
