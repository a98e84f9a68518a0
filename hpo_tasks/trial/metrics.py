"""What a program reported: JSON lines, each an object such as {"step": 3, "rmse": 0.41}. Hostile input."""

import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

STEP = "step"
MAX_LINE_BYTES = 64 << 10
MAX_REPORTS = 10_000
MAX_METRICS = 256
MAX_NAME_CHARS = 200


@dataclass(slots=True)
class Reports:
    """The reports of one attempt, read line by line.

    Attributes:
        last: metric → what the last report that names it said; not necessarily a number.
        kept: the reports with their finite numbers, thinned out evenly to at most `MAX_REPORTS`.
        bad_lines: lines that are no JSON object, or longer than `MAX_LINE_BYTES`.
        redact: takes secrets out of a text. A metric with a secret in its name is ignored.
        asked_for: metrics whose names come from the study file, so that they are no secrets.
    """

    last: dict[str, Any] = field(default_factory=dict)
    kept: list[Mapping[str, float]] = field(default_factory=list)
    bad_lines: int = 0
    redact: Callable[[str], str] = str
    asked_for: Collection[str] = ()
    _every: int = 1
    _seen: int = 0

    def add_line(self, line: bytes) -> None:
        """Take one line in, whatever it holds. Blank lines count for nothing."""
        text = line.strip()
        if not text:
            return
        report = _parse(text)
        if report is None:
            self.bad_lines += 1
            return
        self.add(report)

    def add(self, report: Mapping[str, Any]) -> None:
        """Take one report in."""
        report = {
            name: self.redact(value) if isinstance(value, str) else value
            for name, value in report.items()
            if name in self.asked_for or self.redact(name) == name
        }
        for name, value in report.items():
            if _is_name(name) and (name in self.last or len(self.last) < MAX_METRICS):
                self.last[name] = value
        if self._seen % self._every == 0:
            self.kept.append(_numbers(report))
        self._seen += 1
        if len(self.kept) > MAX_REPORTS:
            self.kept = self.kept[::2]
            self._every *= 2

    def pieces(self) -> Iterator[bytes]:
        """The kept reports as JSON lines."""
        for report in self.kept:
            yield json.dumps(report).encode() + b"\n"

    def finite(self) -> dict[str, float]:
        """The last value of every metric whose last value is a finite number."""
        return {name: value for name, value in _numbers(self.last).items() if name != STEP}


def missing_value(reports: Reports, names: Sequence[str]) -> str:
    """Why the reports are no result, in a few words; "" if every named metric has a finite number."""
    for name in names:
        if name not in reports.last:
            hint = (
                f" ({reports.bad_lines} lines of $HPO_METRICS are not JSON objects)"
                if reports.bad_lines
                else ""
            )
            return f"no value for metric {name}{hint}"
        problem = _not_a_number(reports.last[name])
        if problem:
            return f"value of metric {name} {problem}"
    return ""


def _parse(text: bytes) -> dict[str, Any] | None:
    if len(text) > MAX_LINE_BYTES:
        return None
    try:
        report = json.loads(text.decode())
    except (ValueError, RecursionError):  # also: not UTF-8, a number of thousands of digits
        return None
    return report if isinstance(report, dict) else None


def _numbers(report: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: float(value) for name, value in report.items() if _is_name(name) and not _not_a_number(value)
    }


def _is_name(name: str) -> bool:
    """Whether the outcome can hold a metric of this name; others are ignored."""
    return 0 < len(name) <= MAX_NAME_CHARS and name.isprintable()


def _not_a_number(value: Any) -> str:
    """What the value is instead of a finite number; "" if it is one."""
    if isinstance(value, bool) or value is None:
        return f"is {json.dumps(value)}, not a number"
    if isinstance(value, str):
        return f"is the text {value[:40]!r}, not a number"
    if not isinstance(value, int | float):
        return f"is {'an object' if isinstance(value, dict) else 'a list'}, not a number"
    try:
        return "" if math.isfinite(float(value)) else f"is {float(value)}"
    except OverflowError:
        return "is too large for a number"
