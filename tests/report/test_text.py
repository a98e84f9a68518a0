"""What a terminal gets to see of hostile text; numbers and times for people."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo_tasks.report.text import duration, params, plain, plain_lines, scalar


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("a\nb\rc\td", r"a\x0ab\x0dc\x09d"),
        ("\x9b31m\x7f\x00", r"\x9b31m\x7f\x00"),
        ("abc\u202edcba\u2066\u200e", r"abc\u202edcba\u2066\u200e"),
        ("\u2028\u2029\ufeff\U000e0041", r"\u2028\u2029\ufeff\U000e0041"),
        (
            "Ставки العربية नमस्ते e\u0301 👩\u200d🔬 \u00a0[b]{x}<i>",
            "Ставки العربية नमस्ते e\u0301 👩\u200d🔬 \u00a0[b]{x}<i>",
        ),
    ],
)
def test_what_a_terminal_obeys_is_spelt_out_and_all_else_stays(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(st.text())
def test_no_control_character_comes_through(text: str) -> None:
    joiners = "\u200c\u200d"
    assert all(char in joiners or unicodedata.category(char)[0] != "C" for char in plain(text))
    assert "\n" not in plain(text)
    assert plain_lines(f"{text}\nsecond").endswith("\nsecond")


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S"])))
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert plain(text) == text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.1234567, "0.123457"), (1e-5, "1e-05"), (3, "3"), (True, "true"), (None, "null"), ("gbtree", "gbtree"),
        ("true", '"true"'), ("null", '"null"'), ("", '""'), (" ", '" "'), ("a b", '"a b"'), ("a\nb", r'"a\nb"'),
        ("\x1b", r"\x1b"),
    ],
)  # fmt: skip
def test_values_of_parameters(value: object, shown: str) -> None:
    assert scalar(value) == shown


def test_long_configurations_are_cut_between_parameters() -> None:
    values = {f"p{number}": number for number in range(100)}
    assert params(values, limit=15) == "p0=0 p1=1 p2=2 … and 97 more"
    assert params({"a_very_long_name": "x" * 50}, limit=10) == f"a_very_long_name={'x' * 50}"
    assert params({"a": 1, "b": 2.5}) == "a=1 b=2.5"
    assert params({}) == ""


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"), (0.42, "0.42 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"),
        (3599.6, "1 h 00 min"), (7800, "2 h 10 min"), (90_000, "25 h 00 min"),
    ],
)  # fmt: skip
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown
