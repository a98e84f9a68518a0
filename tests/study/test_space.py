"""The space as a set: what is in it, once each, and how positions map to values."""

import pytest
from cases import CONDITIONAL, spec
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo_tasks.spec.model import FloatParameter, IntParameter
from hpo_tasks.spec.search_space import active, check_point
from hpo_tasks.study.space import Space, key_of, levels, value_at

scalars = st.sampled_from(["a", "b", "", "null", "None", None, 2, 3, 0.5, "x y", "$(reboot)"])


@st.composite
def searches(draw, *, continuous=False):
    """Random conditional search spaces, small enough to write out unless continuous."""
    search = {}
    for index in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["categorical", "int", "float", "fixed"]))
        if kind == "categorical":
            choices = draw(st.lists(scalars, min_size=1, max_size=3, unique_by=repr))
            parameter = {"type": "categorical", "choices": choices}
        elif kind == "int":
            low = draw(st.integers(1, 4))
            parameter = {"type": "int", "low": low, "high": low + draw(st.integers(0, 3))}
        elif kind == "float":
            parameter = {"type": "float", "low": 0.1, "high": draw(st.sampled_from([0.1, 0.35, 0.5]))}
            parameter |= {} if continuous else {"step": 0.1}
        else:
            parameter = {"type": "fixed", "value": draw(scalars)}
        parents = [name for name, other in search.items() if other["type"] in ("categorical", "int")]
        if parents and draw(st.booleans()):
            parent = draw(st.sampled_from(parents))
            values = search[parent].get("choices") or list(range(1, 8))
            parameter["when"] = {parent: draw(st.lists(st.sampled_from(values), min_size=1, max_size=2))}
        search[f"p{index}"] = parameter
    return search


@given(searches())
@settings(max_examples=60, deadline=None)
def test_enumeration_holds_each_configuration_once_and_exactly_its_active_parameters(search):
    study = spec(search=search)
    configurations = Space.of(study).enumerate()
    assert len({key_of(params) for params in configurations}) == len(configurations) > 0
    for params in configurations:
        assert sorted(params) == sorted(active(study.search, params))
        assert check_point(study, params) == []


@given(searches(), st.lists(st.floats(0, 1, exclude_max=True), min_size=5, max_size=5))
@settings(max_examples=60, deadline=None)
def test_walk_by_positions_stays_among_the_enumerated(search, positions):
    space = Space.of(spec(search=search))
    place = dict(zip(space.order, positions, strict=False))
    params = space.walk(lambda name, parameter: value_at(parameter, place[name]))
    assert key_of(params) in {key_of(each) for each in space.enumerate()}


def test_constraints_leave_configurations_out():
    space = Space.of(
        spec(
            search={
                "a": {"type": "int", "low": 0, "high": 9},
                "b": {"type": "int", "low": 0, "high": 9},
            },
            constraints=["a + b <= 3", "a != b"],
        )
    )
    expected = [{"a": a, "b": b} for a in range(10) for b in range(10) if a + b <= 3 and a != b]
    assert space.enumerate() == expected


def test_a_space_that_is_too_large_is_not_written_out():
    space = Space.of(spec(search={n: {"type": "int", "low": 1, "high": 10**6} for n in ("a", "b")}))
    assert space.finite
    assert space.enumerate() is None


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        (FloatParameter(type="float", low=0.0, high=0.3, step=0.1), [0.0, 0.1, 0.2, 0.3]),
        (FloatParameter(type="float", low=0.0, high=1.0, step=0.3), [0.0, 0.3, 0.6, 0.9]),
        (FloatParameter(type="float", low=0.0, high=1.0, points=3), [0.0, 0.5, 1.0]),
        (FloatParameter(type="float", low=1.0, high=100.0, log=True, points=3), [1.0, 10.0, 100.0]),
        (FloatParameter(type="float", low=2.0, high=2.0), [2.0]),
        (IntParameter(type="int", low=1, high=8, step=3), [1, 4, 7]),
    ],
)
def test_levels(parameter, expected):
    assert list(levels(parameter)) == pytest.approx(expected, rel=1e-15)


def test_a_continuous_float_has_no_levels():
    with pytest.raises(ValueError, match="`step` or `points`"):
        list(levels(FloatParameter(type="float", low=0.0, high=1.0)))


def test_positions_at_both_ends_give_both_bounds():
    study = spec(search=CONDITIONAL)
    top = 1 - 2**-53
    assert [value_at(study.search["rate"], p) for p in (0.0, top)] == pytest.approx([1e-4, 1.0])
    assert [value_at(study.search["depth"], p) for p in (0.0, top)] == [1, 64]
    assert [value_at(study.search["booster"], p) for p in (0.0, top)] == ["tree", None]
    assert [value_at(study.search["drop"], p) for p in (0.0, top)] == [0.0, 0.5]
