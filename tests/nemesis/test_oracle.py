"""The oracle finds every fault that is put before it, and nothing where there is none."""

from dataclasses import replace

import pytest

from tests.nemesis.oracle import Evidence, Line, Row, judge

KEYS = [(round_, slot) for round_ in range(2) for slot in range(3)]
FIRST, SECOND = KEYS[:2]


def good():
    """A study in which one trial was killed once and trained again, and one superseded trial was swept away."""
    values = {key: float(number) for number, key in enumerate(KEYS)}
    lines = [Line(event, key, 1, 0.0) for key in KEYS for event in ("start", "end")]
    lines.remove(Line("end", FIRST, 1, 0.0))
    lines += [Line("start", FIRST, 2, 1.0), Line("end", FIRST, 2, 2.0)]
    rows = [Row(number, key, "complete", values[key]) for number, key in enumerate(KEYS)]
    rows.append(Row(len(rows), SECOND, "failed", None, superseded=True))
    tasks = {"prepare": "success", "round_00.ask": "success", "round_02.ask": "skipped"}
    return Evidence("study", values, lines, rows, dict(values), run="success", study="complete", tasks=tasks)


def with_row(evidence, number, **changes):
    rows = [replace(row, **changes) if row.number == number else row for row in evidence.rows]
    return replace(evidence, rows=rows)


def without_ends(evidence, key):
    return [line for line in evidence.lines if (line.event, line.key) != ("end", key)]


FAULTS = {
    "a trial is not recorded": ("lost", lambda e: replace(e, rows=e.rows[1:])),
    "only a superseded trial has the key": ("lost", lambda e: with_row(e, 0, superseded=True)),
    "a trial lost its key": ("lost", lambda e: with_row(e, 0, key=None)),
    "an outcome is gone": ("lost", lambda e: replace(e, outcomes={k: e.outcomes[k] for k in KEYS[1:]})),
    "the outcome has another value": ("lost", lambda e: replace(e, outcomes={**e.outcomes, FIRST: 7.0})),
    "the outcome is a failure": ("lost", lambda e: replace(e, outcomes={**e.outcomes, FIRST: None})),
    "nobody trained it": ("lost", lambda e: replace(e, lines=without_ends(e, FIRST))),
    "a key has two trials": ("twice", lambda e: with_row(e, len(KEYS), superseded=False, state="complete")),
    "a trial too many": ("twice", lambda e: replace(e, rows=[*e.rows, Row(9, (9, 9), "complete", 1.0)])),
    "an attempt began twice": ("twice", lambda e: replace(e, lines=[*e.lines, Line("start", FIRST, 2, 3.0)])),
    "a trial is running": ("running", lambda e: with_row(e, 0, state="running")),
    "a trial is waiting": ("running", lambda e: with_row(e, 0, state="waiting")),
    "a superseded trial is running": ("running", lambda e: with_row(e, len(KEYS), state="running")),
    "a trial of nobody is running": (
        "running",
        lambda e: replace(e, rows=[*e.rows, Row(9, None, "running", None)]),
    ),
    "a task is running": ("running", lambda e: replace(e, tasks={**e.tasks, "round_01.tell": "running"})),
    "a task is to be retried": (
        "running",
        lambda e: replace(e, tasks={**e.tasks, "conclude": "up_for_retry"}),
    ),
    "a task has no state": ("running", lambda e: replace(e, tasks={**e.tasks, "conclude": "None"})),
    "a task failed": ("failed", lambda e: replace(e, tasks={**e.tasks, "round_01.train[0]": "failed"})),
    "the run failed": ("failed", lambda e: replace(e, run="failed")),
    "the run is not over": ("failed", lambda e: replace(e, run="not over")),
    "the study goes on": ("failed", lambda e: replace(e, study="running")),
    "a trial failed": ("failed", lambda e: with_row(e, 0, state="failed")),
    "the value is another one": ("differs", lambda e: replace(e, expected={**e.expected, FIRST: 7.0})),
}


def test_a_good_study():
    """Killed and superseded trials are no fault; they are counted."""
    verdict = judge(good())
    assert verdict.violations == {}
    assert (verdict.trials, verdict.trained_again, verdict.starts_beyond_first) == (len(KEYS), 0, 1)


def test_training_that_was_done_again_is_counted():
    again = replace(good(), lines=[*good().lines, Line("start", SECOND, 2, 3.0), Line("end", SECOND, 2, 4.0)])
    verdict = judge(again)
    assert (verdict.trained_again, verdict.starts_beyond_first) == (1, 2)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault):
    """And called by its name."""
    kind, spoil = FAULTS[fault]
    assert kind in judge(spoil(good())).violations
