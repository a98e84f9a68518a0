"""Values of secrets are found in whatever a program says, however it comes in pieces."""

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo_tasks.trial.metrics import Reports, missing_value
from hpo_tasks.trial.redaction import SHOWN_BYTES, Redactor

VALUE = "sk-Canary/7d9f+ö\"x'"
SMALL = st.text("abc", min_size=1, max_size=6)


def streamed(redactor, pieces):
    stream = redactor.stream()
    return b"".join([*map(stream.feed, pieces), stream.finish()])


@given(st.lists(SMALL, min_size=1, max_size=4), st.lists(st.text("abcd", max_size=12), max_size=12))
def test_pieces_are_redacted_like_the_whole(values, pieces):
    """But for the end, where nobody knows any more how a value would have gone on."""
    redactor = Redactor(values)
    whole = "".join(pieces)
    found = streamed(redactor, [piece.encode() for piece in [*pieces, "d"]])
    assert found == redactor.text(f"{whole}d").encode()
    assert [value for value in values if value in found.decode()] == []


@given(st.lists(SMALL, min_size=1, max_size=4), st.lists(st.text("abcd", max_size=12), max_size=12))
def test_no_value_is_left_whatever_the_last_piece_is(values, pieces):
    found = streamed(Redactor(values), [piece.encode() for piece in pieces]).decode()
    assert [value for value in values if value in found] == []


@pytest.mark.parametrize("size", range(1, len(VALUE.encode()) + 2))
def test_a_value_is_found_in_pieces_of_every_size(size):
    said = f"key={VALUE}!\n".encode()
    pieces = [said[at : at + size] for at in range(0, len(said), size)]
    assert streamed(Redactor([VALUE]), pieces) == b"key=***!\n"


@pytest.mark.parametrize(
    "said",
    [
        VALUE,
        json.dumps({"key": VALUE}),
        json.dumps({"key": VALUE}, ensure_ascii=False),
        repr(KeyError(VALUE)),
        f"GET https://host/?key={quote(VALUE, safe='')}&x=1",
    ],
)
def test_usual_ways_of_writing_a_value_are_found(said):
    redacted = Redactor([VALUE]).text(said)
    assert "***" in redacted
    assert "Canary" not in redacted


def test_a_value_with_a_line_end_is_found_without_it():
    assert Redactor(["line 1\nline 2\n"]).text("'line 1\\nline 2' line 1\nline 2.") == "'***' ***."


def test_a_value_that_was_cut_off_is_masked_but_for_its_first_bytes():
    assert streamed(Redactor(["secret-value"]), [b"text sec"]) == b"text sec"
    assert len("sec") == SHOWN_BYTES
    assert streamed(Redactor(["secret-value"]), [b"text secret-valu"]) == b"text ***"


def test_a_short_value_at_the_end_is_masked_also_if_a_longer_one_begins_with_it():
    assert streamed(Redactor(["ab", "abcdefgh"]), [b"x ab"]) == b"x ***"


def test_nothing_is_held_back_without_secrets():
    """Or output would show up late."""
    stream = Redactor().stream()
    assert (stream.feed(b"any"), stream.finish()) == (b"any", b"")
    assert Redactor([""]).text("any\ud800") == "any\ud800"


def reports_of(*lines, asked_for=()):
    reports = Reports(redact=Redactor([VALUE]).text, asked_for=asked_for)
    for line in lines:
        reports.add_line(json.dumps(line).encode())
    return reports


def test_a_report_repeats_no_secret():
    reports = reports_of({"loss": f"x{VALUE}", VALUE: 1, "size": 2})
    assert missing_value(reports, ["loss"]) == "value of metric loss is the text 'x***', not a number"
    assert b"".join(reports.pieces()) == b'{"size": 2.0}\n'
    assert reports.finite() == {"size": 2.0}


def test_a_metric_of_the_study_keeps_its_name_whatever_the_secret_is():
    assert reports_of({f"a{VALUE}": 1.0}, asked_for=[f"a{VALUE}"]).finite() == {f"a{VALUE}": 1.0}
