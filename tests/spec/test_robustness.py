"""Whatever a document holds, the answer is a spec or a list of one-line problems; never another exception."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_identity import FULL

from hpo_tasks.errors import SpecError
from hpo_tasks.spec import StudySpec, Trust, canonical, check_point, parse, remarks, validate
from hpo_tasks.spec.describe import describe
from hpo_tasks.spec.reader import read

GOOD = read(FULL, format="yaml")
TRAINER = GOOD | {
    "objective": {"metric": "rmse", "direction": "minimize"},
    "thresholds": {"mae": {"max": 3}},
    "trial": {"trainer": "xgboost", "options": {"target": "y", "validation": {"folds": 3}}, "inputs": {"train": "t"}},
}  # fmt: skip

words = st.sampled_from(
    ["", "x", "rmse", "float", "{x}", "{", "2026-13-01", "s3://b/../x", "../x", "a:b", "tpe", "grid", "6h", "-1", "@daily",
     "0 2 * * *", "learning_rate < 1", "booster == 'dart'", "previous_best", "local", "\x1b[2J", "\u202e", "a\nb", "AKIA" + "A" * 16, "null", "git"]
)  # fmt: skip
scalars = (
    st.none() | st.booleans() | st.integers(-(10**19), 10**19) | st.floats() | words | st.text(max_size=5)
)
junk = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(words | st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


def paths(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*path, key))


def put(document, path, value):
    for key in path[:-1]:
        document = document[key]
    if value is ...:
        del document[path[-1]]
    else:
        document[path[-1]] = value


def spec_or_lines(document, trust=Trust.FILE):
    try:
        return validate(document, trust=trust)
    except SpecError as error:
        return lines_of(error)


def lines_of(error):
    """The lines that a user sees, each one fit for a terminal."""
    lines = [str(problem) for problem in error.problems]
    if not lines or not all(line.isprintable() and len(line) < 3000 for line in lines):
        raise AssertionError(lines) from error
    return lines


@pytest.mark.parametrize("base", [GOOD, TRAINER], ids=["command", "trainer"])
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_junk_anywhere_gives_a_spec_or_lines(base, data):
    document = copy.deepcopy(base)
    for _ in range(data.draw(st.integers(1, 3))):
        where = data.draw(st.sampled_from([path for path in paths(document) if path]))
        put(document, where, data.draw(junk | st.just(...)))

    found = spec_or_lines(document, data.draw(st.sampled_from(Trust)))

    if isinstance(found, StudySpec):
        assert validate(json.loads(json.dumps(canonical(found))), trust=Trust.FILE) == found
        assert describe(found)
        assert remarks(found) is not None


@given(junk, st.sampled_from(Trust))
def test_junk_alone_gives_lines(document, trust):
    assert isinstance(spec_or_lines(document, trust), list)


@given(st.text(max_size=60) | st.binary(max_size=60), st.sampled_from(["yaml", "json"]))
def test_random_text_gives_lines(text, format_):
    with pytest.raises(SpecError):
        parse(text, format=format_, trust=Trust.FILE)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, len(FULL)),
    st.integers(0, 9),
    st.text(st.sampled_from("{}[]:,'\"&*!|>-#?% \n\tx1"), max_size=4),
)
def test_a_damaged_file_gives_a_spec_or_lines(position, removed, inserted):
    text = FULL[:position] + inserted + FULL[position + removed :]

    try:
        found = parse(text, format="yaml", trust=Trust.FILE)
    except SpecError as error:
        found = lines_of(error)

    assert isinstance(found, StudySpec | list)


@given(st.dictionaries(st.sampled_from(list(GOOD["search"])) | words, scalars, max_size=5))
def test_any_configuration_is_checked(params):
    spec = validate(GOOD, trust=Trust.FILE)

    assert all("\n" not in str(problem) for problem in check_point(spec, params))


def test_remarks_say_what_is_legal_but_perhaps_not_meant():
    search = {
        "a": {"type": "float", "low": 0, "high": 1, "step": 0.3},
        "b": {"type": "int", "low": 1, "high": 10, "step": 4},
        "c": {"type": "float", "low": 0, "high": 0.3, "step": 0.1},
        "d": {"type": "categorical", "choices": ["x", "y"]},
        "e": {"type": "int", "low": 0, "high": 1, "when": {"d": "x"}},
    }
    document = GOOD | {
        "search": search, "constraints": [], "initial": ["previous_best", {"a": 0.3}], "budget": {"trials": 1},
        "trial": {"command": ["a"]}, "optimizer": {"sampler": "gp"}, "objective": {"metric": "m", "direction": "minimize"},
    }  # fmt: skip
    cmaes = document | {
        "optimizer": {"sampler": "cmaes"},
        "initial": [],
        "search": {"a": search["c"], "d": search["d"]},
    }

    spec = validate(cmaes, trust=Trust.FILE)
    assert [str(remark) for remark in remarks(spec)] == [
        "optimizer.sampler: cmaes draws categorical parameters at random: tpe learns them",
        "thresholds: cmaes does not learn from them; they still decide which trial is the best",
    ]
    random = validate(document | {"optimizer": {"sampler": "random"}, "thresholds": {}}, trust=Trust.FILE)
    assert [str(remark) for remark in remarks(random)] == [
        "search.a.high: is never reached in steps of 0.3: the last value is 0.9",
        "search.b.high: is never reached in steps of 4: the last value is 9",
        "initial: the budget of 1 trials ends before the last of 2",
    ]
    tree = validate(document | {"optimizer": {"sampler": "cmaes"}, "thresholds": {}}, trust=Trust.FILE)
    assert (
        str(remarks(tree)[2])
        == "optimizer.sampler: cmaes draws parameters with conditions at random: tpe learns them"
    )
    assert validate(GOOD, trust=Trust.FILE).search.keys() == GOOD["search"].keys()
