"""What a program may write to $HPO_METRICS or print, and what becomes of it."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo_tasks.errors import InputError
from hpo_tasks.trial.metrics import MAX_METRICS, MAX_REPORTS, Reports, missing_value
from hpo_tasks.trial.patterns import OutputPatterns


def read(*lines: bytes) -> Reports:
    reports = Reports()
    for line in lines:
        reports.add_line(line)
    return reports


@pytest.mark.parametrize(
    ("lines", "finite"),
    [
        ([b'{"loss": 0.5}'], {"loss": 0.5}),
        ([b'{"step": 1, "loss": 3}', b'{"step": 2, "loss": 2}'], {"loss": 2.0}),
        ([b'{"loss": 1}', b'{"acc": 0.9}'], {"loss": 1.0, "acc": 0.9}),
        ([b'{"loss": 1, "loss": 2}\r\n'], {"loss": 2.0}),
        ([b"", b"  \n", b'{"loss": -0.0}\n'], {"loss": -0.0}),
        ([b'{"config": {"a": [1]}, "loss": 1e-308}'], {"loss": 1e-308}),
        ([b'{"loss": 1}', b"not json", b'{"loss": ', b"[1]", b"3", b"null", b"\xff"], {"loss": 1.0}),
        ([b'{"loss": 1}', b"[" * 60_000, b'{"loss": ' + b"9" * 5000 + b"}"], {"loss": 1.0}),
        ([b'{"loss": 1}', b'{"loss": 2, "x": "' + b"y" * 70_000 + b'"}'], {"loss": 1.0}),
        ([b'{"a\\nb": 1, "": 2, "\\ud800": 3, "ok": 4}'], {"ok": 4.0}),
    ],
)
def test_the_last_finite_value_of_each_metric_counts(lines, finite):
    assert read(*lines).finite() == finite


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{}", "no value for metric loss"),
        (b"oops", "no value for metric loss (1 lines of $HPO_METRICS are not JSON objects)"),
        (b'{"Loss": 1}', "no value for metric loss"),
        (b'{"loss": NaN}', "value of metric loss is nan"),
        (b'{"loss": -Infinity}', "value of metric loss is -inf"),
        (b'{"loss": 1e400}', "value of metric loss is inf"),
        (b'{"loss": 1' + b"0" * 400 + b"}", "value of metric loss is too large for a number"),
        (b'{"loss": true}', "value of metric loss is true, not a number"),
        (b'{"loss": null}', "value of metric loss is null, not a number"),
        (b'{"loss": "0.5"}', "value of metric loss is the text '0.5', not a number"),
        (b'{"loss": {"mean": 1}}', "value of metric loss is an object, not a number"),
        (b'{"loss": [1]}', "value of metric loss is a list, not a number"),
    ],
)
def test_why_a_report_is_no_result(line, said):
    assert missing_value(read(line), ["loss"]) == said
    assert missing_value(read(b'{"loss": 1}', line), ["loss"]) == ("" if "no value" in said else said)


def test_every_objective_and_threshold_must_have_a_value():
    reports = read(b'{"a": 1, "b": 2}')
    assert missing_value(reports, ["a", "b"]) == ""
    assert missing_value(reports, ["a", "b", "c"]) == "no value for metric c"


@given(st.binary())
def test_no_line_is_too_strange(line):
    reports = read(line, b'{"loss": 1}')
    assert reports.finite()["loss"] == 1.0
    assert all(isinstance(json.loads(piece), dict) for piece in reports.pieces())


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_keep_every_bit(value):
    assert read(json.dumps({"loss": value}).encode()).finite()["loss"].hex() == value.hex()


def test_many_reports_are_thinned_out_evenly():
    reports = Reports()
    for step in range(5 * MAX_REPORTS):
        reports.add({"step": step, "loss": 1.0})
    steps = [report["step"] for report in reports.kept]
    assert MAX_REPORTS / 2 <= len(steps) <= MAX_REPORTS
    assert {later - earlier for earlier, later in pairwise(steps)} == {8.0}


def test_no_program_can_name_endless_metrics():
    reports = Reports()
    for number in range(10 * MAX_METRICS):
        reports.add({f"m{number}": 1.0})
    assert len(reports.finite()) == MAX_METRICS


def patterns(*pairs: tuple[str, str]) -> tuple[OutputPatterns, Reports]:
    reports = Reports()
    return OutputPatterns([{"name": name, "regex": regex} for name, regex in pairs], reports), reports


def test_the_last_match_in_the_output_counts_however_it_is_cut():
    found, reports = patterns(("loss", r"loss=([0-9.e+-]+)"), ("acc", r"^acc (\S+)$"))
    output = b"epoch 1 loss=0.9\rprogress 10%\rloss=0.8 done\nacc 0.5\nepoch 2 loss=1e-3"
    for place in range(len(output)):
        found.feed(output[place : place + 1])
    found.finish()
    assert reports.finite() == {"loss": 1e-3, "acc": 0.5}


@pytest.mark.parametrize(
    ("text", "said"), [(b"nan", "is nan"), (b"1e400", "is inf"), (b"abc", "is the text 'abc'")]
)
def test_a_match_that_is_no_number_is_no_result(text, said):
    found, reports = patterns(("loss", r"loss=(\w+)"))
    found.feed(b"loss=" + text + b"\n")
    assert said in missing_value(reports, ["loss"])


def test_evil_patterns_and_endless_lines_take_linear_time_and_little_memory():
    found, reports = patterns(("loss", r"(a+)+$"), ("x", r"(.*.*.*.*=[0-9]*)"))
    for _ in range(1000):
        found.feed(b"a" * 65_536)
        assert len(found._line) <= 4096
    found.finish()
    assert missing_value(reports, ["loss"]).startswith("value of metric loss is the text 'aaa")


@pytest.mark.parametrize(
    ("regex", "said"),
    [("(a", "missing )"), ("a", "0 groups"), ("(a)(b)", "2 groups"), (r"(?=a)", "invalid perl operator")],
)
def test_a_pattern_must_be_re2_with_one_group(regex, said):
    with pytest.raises(InputError, match=r"trial\.metrics") as caught:
        patterns(("loss", regex))
    assert said in str(caught.value)
