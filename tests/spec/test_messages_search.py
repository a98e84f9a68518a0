"""A mistake in the search space or its constraints, and the very line that its user sees."""

import pytest
from small_study import STUDY, changed

PARAMETER = [
    ("{type: float, low: 0, high: 1, log: true}", "search.p.low: must be > 0 on a log scale, got 0"),
    ("{type: float, low: 2, high: 1}", "search.p.low: must be below high = 1, got 2"),
    (
        "{type: float, low: 1, high: 1}",
        "search.p.low: must be below high, got 1 for both: write {type: fixed, value: 1}",
    ),
    ("{type: float, low: .nan, high: .nan}", "search.p.low: must be a finite number, got nan\nsearch.p.high: must be a finite number, got nan"),
    ("{type: float, low: 0, high: .inf}", "search.p.high: must be a finite number, got inf"),
    ("{type: float, low: 0, high: 1e400}", "search.p.high: must be a finite number, got inf"),
    ("{type: float, low: -1e308, high: 1e308}", "search.p.low: the range from -1e+308 to 1e+308 is too wide to compute with"),
    ("{type: float, low: true, high: 2}", "search.p.low: must be a number, got true"),
    ("{type: float, low: NaN, high: 2}", 'search.p.low: must be a number, got "NaN"'),
    ("{type: float, low: '0', high: 2}", 'search.p.low: must be a number, got "0"'),
    ("{type: float, high: 2}", "search.p.low: missing"),
    ("{type: float, low: 1, high: 9, log: true, step: 1}", "search.p.step: cannot be used with log"),
    ("{type: float, low: 0, high: 1, step: 0}", "search.p.step: must be > 0, got 0"),
    ("{type: float, low: 0, high: 1, step: 2}", "search.p.step: must be at most high - low = 1, got 2"),
    ("{type: float, low: 0, high: 1, step: 1e-320}", "search.p.step: is too small for the range: more than 1e+09 steps, got 1e-320"),
    ("{type: float, low: 0, high: 1, step: .1, points: 3}", "search.p.points: cannot be used with step: give one of them"),
    ("{type: float, low: 0, high: 1, points: 1}", "search.p.points: must be at least 2, got 1"),
    ("{type: int, low: 0.5, high: 3}", "search.p.low: must be a whole number, got 0.5"),
    ("{type: int, low: true, high: 3}", "search.p.low: must be a whole number, got true"),
    ("{type: int, low: 0, high: 3, log: true}", "search.p.low: must be > 0 on a log scale, got 0"),
    ("{type: int, low: 1, high: 9, log: true, step: 2}", "search.p.step: cannot be used with log"),
    ("{type: int, low: 1, high: 9, step: 0}", "search.p.step: must be at least 1, got 0"),
    ("{type: int, low: 1, high: 9, step: 9}", "search.p.step: must be at most high - low = 8, got 9"),
    (
        "{type: int, low: 0, high: 9007199254740993}",
        "search.p.high: must be within ±2^53 = 9007199254740992, got 9007199254740993: larger numbers are not stored exactly",
    ),
    ("{type: int, low: 0, high: 1000000000000000000}", "search.p.high: must have at most 18 digits (if it is text, put it in quotes)"),
    ("{type: categorical, choices: []}", "search.p.choices: must hold at least 1, got 0"),
    ("{type: categorical, choices: fast}", 'search.p.choices: must be a list, got "fast"'),
    ("{type: categorical, choices: [a, a]}", 'search.p.choices[1]: "a" is there already, as choices[0]'),
    ("{type: categorical, choices: [1, 1.0]}", "search.p.choices[1]: 1 is there already, as choices[0]"),
    (
        "{type: categorical, choices: [1, true]}",
        "search.p.choices[1]: true cannot be told from 1 (choices[0]) by the sampler: use text",
    ),
    (
        "{type: categorical, choices: [0, x, false]}",
        "search.p.choices[2]: false cannot be told from 0 (choices[0]) by the sampler: use text",
    ),
    (
        "{type: categorical, choices: [a, {b: 1}]}",
        "search.p.choices[1]: must be text, a finite number, true, false or null, got a mapping",
    ),
    (
        "{type: categorical, choices: [a, [b]]}",
        "search.p.choices[1]: must be text, a finite number, true, false or null, got a list",
    ),
    ("{type: categorical, choice: [a]}", "search.p.choices: missing\nsearch.p.choice: unknown field, did you mean `choices`?"),
    ("{type: fixed}", "search.p.value: missing"),
    ("{type: fixed, value: [1]}", "search.p.value: must be text, a finite number, true, false or null, got a list"),
    ("{type: flaot, low: 0}", 'search.p.type: must be one of float, int, categorical, fixed, got "flaot", did you mean `float`?'),
    ("{type: 3}", "search.p.type: must be one of float, int, categorical, fixed, got 3"),
    ("{type: unread}", 'search.p.type: must be one of float, int, categorical, fixed, got "unread"'),
    ("{low: 0, high: 1}", "search.p.type: missing: must be one of float, int, categorical, fixed"),
    ("0.1", "search.p: must be a mapping with a type (float, int, categorical, fixed), got 0.1"),
    ("{type: float, low: 0, high: 1, loog: true}", "search.p.loog: unknown field, did you mean `log`?"),
    ("{type: float, low: 0, high: 1, choices: [1]}", "search.p.choices: unknown field; known: when, type, low, high, log, step, points"),
    ("{type: fixed, value: 1, when: {moed: fast}}", "search.p.when.moed: unknown parameter, did you mean `mode`?"),
    ("{type: fixed, value: 1, when: {p: 1}}", "search.p.when.p: a parameter cannot depend on itself"),
    (
        "{type: fixed, value: 1, when: {x: 0.5}}",
        "search.p.when.x: a condition can look at categorical, int and fixed parameters, not at a float",
    ),
    ("{type: fixed, value: 1, when: {mode: fsat}}", 'search.p.when.mode: must be one of "fast", "slow", "--dry-run"; got "fsat"'),
    ("{type: fixed, value: 1, when: {mode: [fast, 3]}}", 'search.p.when.mode: must be one of "fast", "slow", "--dry-run"; got 3'),
    ("{type: fixed, value: 1, when: {mode: []}}", "search.p.when.mode: must name at least one value"),
    ("{type: fixed, value: 1, when: {depth: 10}}", "search.p.when.depth: must be between 1 and 9, got 10"),
    ("{type: fixed, value: 1, when: {depth: 2.0}}", "search.p.when.depth: must be a whole number, got 2"),
    ("{type: fixed, value: 1, when: {depth: true}}", "search.p.when.depth: must be a whole number, got true"),
    (
        "{type: fixed, value: 1, when: {mode: fast, depth: 2}}",
        "search.p.when: depth, mode do not depend on one another: a condition may name one chain of parents only",
    ),
    ("{type: fixed, value: 1, when: [mode]}", "search.p.when: must be a mapping (key: value), got a list"),
]  # fmt: skip

CONSTRAINT = [
    ("depht <= 3", "constraints[0]: unknown parameter `depht`, did you mean `depth`?"),
    ("x + depth", 'constraints[0]: must compare something, e.g. "x + depth <= 1"'),
    ("x <", 'constraints[0]: is not an expression: "x <"; write e.g. x + y <= 1'),
    ("x = 1", 'constraints[0]: is not an expression: "x = 1"; write e.g. x + y <= 1'),
    ("", 'constraints[0]: is not an expression: ""; write e.g. x + y <= 1'),
    ("1 < 2", "constraints[0]: must name at least one parameter"),
    ("mode < 3", "constraints[0]: mode is text, not a number"),
    ("mode == 3", "constraints[0]: mode is text and 3 is a number: they are never equal"),
    ("x == 'a'", "constraints[0]: x is a number and 'a' is text: they are never equal"),
    ("x and depth > 1", "constraints[0]: x is a number: compare it with something"),
    ("pow(x, 2) < 1", "constraints[0]: unknown function `pow`; known: min, max, abs, log, exp, sqrt"),
    ("max(x) < 1", "constraints[0]: max takes two or more values, got 1"),
    ("log(x, 2) < 1", "constraints[0]: log takes one value, got 2"),
    ("x < 1e999", "constraints[0]: a number is beyond 1e+300"),
    ("x < 1j", "constraints[0]: a complex is not allowed: use numbers and text"),
    ("x" + " + x" * 200 + " < 1", "constraints[0]: must be at most 500 characters"),
]


@pytest.mark.parametrize(("parameter", "lines"), PARAMETER, ids=[text for text, _ in PARAMETER])
def test_a_wrong_parameter_gives_exactly_these_lines(parameter, lines, problems_of_text):
    text = STUDY.replace("  x:", f"  p: {parameter}\n  x:")

    assert problems_of_text(text) == lines.split("\n")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a b;rm", "a name must be letters, digits and _ (at most 64), not begin with a digit"),
        ("hpo:key", "a name must be letters, digits and _ (at most 64), not begin with a digit"),
        ("1x", "a name must be letters, digits and _ (at most 64), not begin with a digit"),
        ("é", "a name must be letters, digits and _ (at most 64), not begin with a digit"),
        ("e\u0301", "a name must be letters, digits and _ (at most 64), not begin with a digit"),
        ("n" * 65, "a name must be letters, digits and _ (at most 64), not begin with a digit"),
        ("X", "differs from `x` only by case: both would be HPO_PARAM_X"),
        ("true", "is a value in constraints, not a name: use another one"),
    ],
)
def test_parameter_names_are_refused(name, message, problems):
    float_ = {"type": "float", "low": 0, "high": 1}

    assert problems(search={"x": float_, name: float_}) == [f"search.{name}: {message}"]


def test_a_search_without_anything_to_search_is_refused(problems):
    nothing = "search: has nothing to search: at least one parameter must be float, int or categorical"

    assert problems(search={}, trial={"command": ["a"]}) == [nothing]
    assert problems(search={"x": {"type": "fixed", "value": 1}}) == [nothing]
    many = {f"p{index}": {"type": "int", "low": 0, "high": 1} for index in range(201)}
    assert problems(search=many, trial={"command": ["a"]}) == ["search: must hold at most 200, got 201"]
    choices = {"x": {"type": "categorical", "choices": list(range(1001))}}
    assert problems(search=choices) == ["search.x.choices: must hold at most 1000, got 1001"]


@pytest.mark.parametrize(("text", "line"), CONSTRAINT, ids=[text[:60] for text, _ in CONSTRAINT])
def test_a_wrong_constraint_gives_exactly_this_line(text, line, problems_of_text):
    assert problems_of_text(changed(f'constraints: ["{text}"]')) == [line]
