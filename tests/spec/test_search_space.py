"""The tree of parameters: order, activity, what lies inside, and what a configuration must satisfy."""

import itertools

import pytest

from hpo_tasks.spec import active, check_point, search_order

TREE = {
    "rate_drop": {"type": "float", "low": 0.0, "high": 0.5, "when": {"booster": "dart"}},
    "booster": {"type": "categorical", "choices": ["gbtree", "dart", "gblinear"]},
    "kind": {"type": "fixed", "value": "gbm"},
    "depth": {"type": "int", "low": 1, "high": 9, "when": {"booster": ["gbtree", "dart"]}},
    "leaves": {
        "type": "int",
        "low": 2,
        "high": 512,
        "log": True,
        "when": {"depth": [8, 9], "booster": "dart"},
    },
    "extra": {"type": "float", "low": 0.0, "high": 1.0, "when": {"kind": "gbm"}},
}


def test_parents_come_before_children_whatever_the_order_in_the_file(study):
    orders = {
        tuple(search_order(study(search=dict(fields), trial={"command": ["a"]}).search))
        for fields in itertools.islice(itertools.permutations(TREE.items()), 0, 720, 7)
    }

    assert orders == {("booster", "kind", "depth", "extra", "rate_drop", "leaves")}


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({}, ["booster", "kind", "extra"]),
        ({"booster": "gblinear"}, ["booster", "kind", "extra"]),
        ({"booster": "gbtree"}, ["booster", "kind", "depth", "extra"]),
        ({"booster": "dart", "depth": 3}, ["booster", "kind", "depth", "extra", "rate_drop"]),
        ({"booster": "dart", "depth": 9}, ["booster", "kind", "depth", "extra", "rate_drop", "leaves"]),
        ({"booster": "gbtree", "depth": 9}, ["booster", "kind", "depth", "extra"]),
        ({"depth": 9}, ["booster", "kind", "extra"]),
        ({"booster": "gblinear", "depth": 9}, ["booster", "kind", "extra"]),
    ],
)
def test_a_parameter_is_active_if_its_whole_chain_of_conditions_holds(params, names, study):
    assert active(study(search=TREE, trial={"command": ["a"]}).search, params) == names


def test_conditions_tell_true_from_1(study):
    search = {
        "flag": {"type": "categorical", "choices": [True, 2, "1"]},
        "if_true": {"type": "int", "low": 0, "high": 1, "when": {"flag": True}},
    }
    spec = study(search=search, trial={"command": ["a"]})

    assert active(spec.search, {"flag": True}) == ["flag", "if_true"]
    assert active(spec.search, {"flag": "1"}) == active(spec.search, {"flag": 1}) == ["flag"]


@pytest.mark.parametrize(
    ("conditions", "line"),
    [
        ({"a": {"b": 1}, "b": {"a": 1}}, "search.a.when: forms a cycle: a → b → a"),
        ({"a": {"c": 1}, "b": {"a": 1}, "c": {"b": 1}}, "search.a.when: forms a cycle: a → b → c → a"),
        (
            {"b": {"a": 1}, "c": {"a": 2, "b": 1}},
            "search.c.when.a: contradicts the condition of a parent: it is never active",
        ),
        (
            {"c": {"a": 1, "b": 1}},
            "search.c.when: a, b do not depend on one another: a condition may name one chain of parents only",
        ),
        (
            {"b": {"a": 1}, "c": {"a": 1}, "d": {"b": 1, "c": 1}},
            "search.d.when: b, c do not depend on one another: a condition may name one chain of parents only",
        ),
    ],
)
def test_conditions_must_form_a_tree(conditions, line, problems):
    search = {
        name: {"type": "int", "low": 0, "high": 9}
        | ({"when": conditions[name]} if name in conditions else {})
        for name in "abcd"
    }

    found = problems(search=search, trial={"command": ["a"]})

    assert [text.replace("b → a → b", "a → b → a").replace("search.b.", "search.a.") for text in found] == [
        line
    ] or ("cycle" in line and len(found) == 1 and "forms a cycle" in found[0])


def test_a_contradiction_across_a_fixed_parent_is_found(problems):
    search = {
        "kind": {"type": "fixed", "value": "a"},
        "mode": {"type": "categorical", "choices": [1, 2, 3]},
        "inner": {"type": "int", "low": 0, "high": 9, "when": {"mode": [1, 2]}},
        "leaf": {"type": "int", "low": 0, "high": 9, "when": {"inner": 3, "mode": [2, 3]}},
        "never": {"type": "int", "low": 0, "high": 9, "when": {"inner": 3, "mode": 3}},
    }

    assert problems(search=search, trial={"command": ["a"]}) == [
        "search.never.when.mode: contradicts the condition of a parent: it is never active"
    ]


@pytest.mark.parametrize(
    ("params", "lines"),
    [
        ({}, []),
        ({"booster": "dart"}, []),
        ({"booster": "dart", "depth": 8, "leaves": 64, "rate_drop": 0.5, "kind": "gbm", "extra": 1}, []),
        (
            {"booster": "gbtree", "rate_drop": 0.1},
            ['rate_drop: is not active here: only when booster is "dart"'],
        ),
        ({"rate_drop": 0.1}, ['rate_drop: is not active here: only when booster is "dart"']),
        (
            {"booster": "dart", "depth": 3, "leaves": 8},
            ['leaves: is not active here: only when depth is 8 or 9 and booster is "dart"'],
        ),
        ({"boster": "dart"}, ["boster: unknown parameter, did you mean `booster`?"]),
        ({"booster": "dart", "depth": 10}, ["depth: must be between 1 and 9, got 10"]),
        ({"booster": None}, ['booster: must be one of "gbtree", "dart", "gblinear"; got null']),
        ({"extra": float("nan")}, ["extra: must be between 0 and 1, got nan"]),
    ],
)
def test_a_configuration_may_be_partial_but_not_outside(params, lines, study):
    spec = study(search=TREE, trial={"command": ["a"]})

    assert [str(problem) for problem in check_point(spec, params)] == lines


@pytest.mark.parametrize(
    ("parameter", "inside", "outside"),
    [
        ({"type": "float", "low": 0.0, "high": 1.0, "step": 0.1}, [0, 0.3, 0.7, 1.0, 0.1 + 0.2], [0.05, 0.33]),
        ({"type": "int", "low": 1, "high": 10, "step": 3}, [1, 4, 10], [2, 9]),
        ({"type": "float", "low": 5e-324, "high": 1.0, "log": True}, [5e-324, 1e-300, 1], [0, 1.5]),
        ({"type": "categorical", "choices": [None, 2, 0.5, "None", True]}, [None, 2.0, "None", True], [1, "2", False]),
    ],
)  # fmt: skip
def test_values_on_the_step_and_of_the_right_type_are_inside(parameter, inside, outside, study):
    spec = study(search={"p": parameter}, trial={"command": ["a"]})

    assert [value for value in [*inside, *outside] if not check_point(spec, {"p": value})] == inside


def test_fixed_values_count_in_constraints_of_a_partial_configuration(study):
    search = {"x": {"type": "int", "low": 0, "high": 9}, "limit": {"type": "fixed", "value": 5}}
    spec = study(search=search, constraints=["x <= limit"])

    assert [str(problem) for problem in check_point(spec, {"x": 6})] == ["violates the constraint x <= limit"]
    assert check_point(spec, {"x": 5}) == []
