"""Output is kept from both ends, and shown without what could deceive a reader."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo_tasks.trial.capped_log import CappedLog
from hpo_tasks.trial.printable import last_lines, one_line, printable


@given(st.lists(st.binary(max_size=40), max_size=40), st.integers(1, 100), st.integers(1, 100))
def test_head_and_tail_are_kept_and_what_is_cut_is_counted(chunks, head, tail):
    log = CappedLog(head_bytes=head, tail_bytes=tail)
    for chunk in chunks:
        log.write(chunk)
    written, kept = b"".join(chunks), b"".join(log.pieces())
    cut = len(written) - head - tail
    if cut <= 0:
        assert kept == written
    else:
        mark = f"\n[… {cut:,} bytes of output cut here …]\n".encode()
        assert kept == written[:head] + mark + written[-tail:]
    assert log.last(tail) == written[-tail:]


def test_single_bytes_cost_no_more_than_blocks():
    log = CappedLog(head_bytes=10, tail_bytes=1 << 20)
    for _ in range(300_000):
        log.write(b"x")
    assert len(log._tail) < 10


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\n\ttext ß 😀", "plain\n\ttext ß 😀"),
        ("\x1b[2J\x07\r", "\\x1b[2J\\x07\\x0d"),
        ("\x9b31m\x7f", "\\x9b31m\\x7f"),
        ("a\u202eb\u2066c\u2028d", "a\\u202eb\\u2066c\\u2028d"),
        ("\ud800", "\\ud800"),
    ],
)
def test_nothing_printable_moves_a_cursor_or_turns_a_line(text, shown):
    assert printable(text) == shown


@given(st.binary(max_size=300), st.integers(16, 100))
def test_a_tail_fits_and_is_valid_text(data, size):
    tail = last_lines(data, size)
    assert len(tail.encode()) <= size
    assert printable(tail) == tail


def test_a_tail_starts_with_a_whole_line():
    assert last_lines(b"first line\nsecond line\nthird\n", 15) == "third\n"
    assert last_lines(b"short\r\nlines\n", 100) == "short\nlines\n"
    assert last_lines(b"x" * 100, 10) == "x" * 10


def test_one_line_is_cut_with_a_mark():
    assert one_line(" a\n b\x00 ", 50) == "a b\\x00"
    assert one_line("x" * 100, 10) == "x" * 9 + "…"
