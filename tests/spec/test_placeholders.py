"""The placeholder grammar: the same text as the runner reads, and nothing in it but names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo_tasks.errors import InputError
from hpo_tasks.spec.placeholders import Placeholder, PlaceholderError, fill, split
from hpo_tasks.trial.command_line import render_command, value_text


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("plain", ["plain"]),
        ("--lr={lr}", ["--lr=", Placeholder("lr")]),
        ("{a}{b_1}", [Placeholder("a"), Placeholder("b_1")]),
        ("{{a}}", ["{a}"]),
        ("{{{a}}}", ["{", Placeholder("a"), "}"]),
        ('{{"x": {x}}}', ['{"x": ', Placeholder("x"), "}"]),
        ("{start:%Y:%m}", [Placeholder("start", "%Y:%m")]),
    ],
)
def test_a_text_splits_into_literals_and_names(text, parts):
    assert split(text) == parts


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "}",
        "{a",
        "a}",
        "{}",
        "{0}",
        "{a.b}",
        "{a[0]}",
        "{a!r}",
        "{ a }",
        "{a }",
        "{a:}",
        "{{a}",
        "{a}}",
        "{a{b}}",
    ],
)
def test_everything_else_is_refused(text):
    with pytest.raises(PlaceholderError):
        split(text)


texts = st.text(st.sampled_from("{}ab:.-") | st.characters(exclude_categories=["Cs"]), max_size=12)


@given(texts, texts.filter(lambda value: "\0" not in value))
def test_the_validator_and_the_runner_read_the_same_templates(element, value):
    params = dict.fromkeys(["a", "b", "ab"], value)
    try:
        expected = fill(element, lambda placeholder: value_text(params[placeholder.name]))
    except PlaceholderError:
        with pytest.raises(InputError):
            render_command(["program", element], params)
    except KeyError:
        assert render_command(["program", element], params) == ["program"]
    else:
        if "\0" not in element and not any(
            part.format for part in split(element) if isinstance(part, Placeholder)
        ):
            assert render_command(["program", element], params) == ["program", expected]


@given(st.text(), st.text())
def test_a_value_is_never_looked_into_again(before, value):
    template = before.replace("{", "{{").replace("}", "}}") + "{p}"

    assert fill(template, lambda _: value) == before + value


@pytest.mark.parametrize(
    ("element", "choices", "good"),
    [
        ("--mode={p}", ["--help", "x"], True),
        ("-m{p}", ["-x"], True),
        ("{p}", ["--help", "x"], False),
        ("{p}", ["x", "y"], True),
        ("{p}", ["", "x"], True),
        ("{p}{q}", ["", "x"], False),
        ("{q}", [1], False),
        ("{p}", [-1, -2.5, None, True], True),
    ],
)
def test_a_value_cannot_become_an_option(element, choices, good, problems):
    search = {
        "p": {"type": "categorical", "choices": choices},
        "q": {"type": "categorical", "choices": ["-v", "-q"]},
    }

    assert bool(problems(search=search, trial={"command": ["a", element]})) is not good
    assert problems(search=search, trial={"command": ["a", "--", element]}) == []
