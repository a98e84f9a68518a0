"""Holds what trainers noted themselves against what was recorded. Pure: evidence in, verdict out."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Key = tuple[int, int]
"""Round and slot of a trial."""

KINDS = ("lost", "twice", "running", "left", "failed", "differs")
OVER = frozenset({"success", "skipped", "removed"})
"""States of the tasks of a run that ended well."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the trainer's ledger."""

    event: str
    key: Key
    attempt: int
    at: float


@dataclass(frozen=True, slots=True)
class Row:
    """One trial of the study database. Without a key it is none of ours; a superseded one does not count."""

    number: int
    key: Key | None
    state: str
    value: float | None
    superseded: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known about a study whose run is over.

    Attributes:
        name: for messages.
        expected: what each trial has to be worth: its value in a study that nobody disturbs.
        lines: of the trainer's ledger, in their order.
        rows: all trials of the study database.
        outcomes: values of the complete outcomes in the store; None for an outcome that is not complete.
        run, study: state of the run in Airflow, and of the study.
        tasks: Airflow's task → state.
    """

    name: str
    expected: Mapping[Key, float]
    lines: Sequence[Line]
    rows: Sequence[Row]
    outcomes: Mapping[Key, float | None]
    run: str
    study: str
    tasks: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a study.

    Attributes:
        violations: kind → what did not hold; kinds without violations are left out.
        trials: how many there were to be.
        trained_again: trainings beyond the first that came to their end: work that had been done was done again.
        starts_beyond_first: trainings beyond the first that began, most of them because the one before was killed.
    """

    violations: Mapping[str, Sequence[str]]
    trials: int
    trained_again: int
    starts_beyond_first: int


@dataclass
class _Findings:
    name: str
    found: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, kind: str, text: str) -> None:
        self.found[kind].append(f"{self.name}: {text}")


def judge(evidence: Evidence) -> Verdict:
    """Everything that must hold once the run is over."""
    findings = _Findings(evidence.name)
    live = _live(evidence)
    _check_recorded(evidence, live, findings)
    _check_against_the_trainer(evidence, live, findings)
    _check_nothing_runs(evidence, findings)
    if evidence.run != "success":
        findings.add("failed", f"the run is {evidence.run}")
    if evidence.study != "complete":
        findings.add("failed", f"the study is {evidence.study}")
    starts = Counter(line.key for line in evidence.lines if line.event == "start")
    ends = Counter(line.key for line in evidence.lines if line.event == "end")
    return Verdict(
        violations=dict(findings.found),
        trials=len(evidence.expected),
        trained_again=sum(count - 1 for count in ends.values()),
        starts_beyond_first=sum(count - 1 for count in starts.values()),
    )


def _live(evidence: Evidence) -> dict[Key, list[Row]]:
    """The rows that count, by key."""
    found: dict[Key, list[Row]] = defaultdict(list)
    for row in evidence.rows:
        if row.key is not None and not row.superseded:
            found[row.key].append(row)
    return found


def _check_recorded(evidence: Evidence, live: Mapping[Key, Sequence[Row]], findings: _Findings) -> None:
    """Each trial is recorded once, with the value of its outcome, which is the one of an undisturbed study."""
    for key, expected in evidence.expected.items():
        rows = live.get(key, [])
        if len(rows) > 1:
            findings.add("twice", f"{key} is recorded as trials {[row.number for row in rows]}")
        if not any(row.state == "complete" for row in rows):
            kind = "failed" if any(row.state == "failed" for row in rows) else "lost"
            findings.add(kind, f"{key} is recorded as {[row.state for row in rows]}")
            continue
        if key not in evidence.outcomes:
            findings.add("lost", f"{key} has no outcome in the store")
        for row in rows:
            if key in evidence.outcomes and row.value != evidence.outcomes[key]:
                findings.add(
                    "lost", f"{key} is recorded as {row.value}, its outcome {evidence.outcomes[key]}"
                )
            if row.value != expected:
                findings.add("differs", f"{key} is recorded as {row.value}, undisturbed it is {expected}")
    for key in sorted(live.keys() - evidence.expected.keys()):
        findings.add("twice", f"{key} is a trial too many")


def _check_against_the_trainer(
    evidence: Evidence, live: Mapping[Key, Sequence[Row]], findings: _Findings
) -> None:
    """What is recorded was trained to its end, and no attempt began twice."""
    ended = {line.key for line in evidence.lines if line.event == "end"}
    for key in sorted(key for key, rows in live.items() if any(row.state == "complete" for row in rows)):
        if key not in ended:
            findings.add("lost", f"{key} is recorded, though nobody trained it to the end")
    starts = Counter((line.key, line.attempt) for line in evidence.lines if line.event == "start")
    for (key, attempt), count in sorted(starts.items()):
        if count > 1:
            findings.add("twice", f"attempt {attempt} of {key} was started {count} times")


def _check_nothing_runs(evidence: Evidence, findings: _Findings) -> None:
    """No trial of the study database and no task of Airflow's is still on its way."""
    for row in evidence.rows:
        if row.state in ("running", "waiting"):
            findings.add("running", f"trial {row.number} for {row.key} is {row.state}")
    for task, state in sorted(evidence.tasks.items()):
        if state not in OVER:
            findings.add(
                "failed" if state in ("failed", "upstream_failed") else "running", f"{task} is {state}"
            )
