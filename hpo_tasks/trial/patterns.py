"""Metrics read from a program's output by regular expressions. RE2: no expression takes more than linear time."""

from collections.abc import Mapping, Sequence
from typing import Any

from hpo_tasks.errors import InputError
from hpo_tasks.trial.metrics import Reports

MAX_LINE_BYTES = 4096


class OutputPatterns:
    """Takes a program's output in pieces; each match of a pattern's one group is a report of its metric."""

    def __init__(self, patterns: Sequence[Mapping[str, str]], reports: Reports) -> None:
        """Compile the patterns.

        Raises:
            InputError: RE2 is not installed here, or a pattern is none of RE2's, or has not exactly one group.
        """
        self._patterns = [(each["name"], _compile(each["regex"])) for each in patterns]
        self._reports = reports
        self._line = b""

    def feed(self, chunk: bytes) -> None:
        """Take the next piece of output in."""
        *lines, rest = (self._line + chunk.replace(b"\r", b"\n")).split(b"\n")
        for line in lines:
            self._match(line)
        # Of an endless line only the start is looked at, and only that is kept.
        self._line = rest[:MAX_LINE_BYTES]

    def finish(self) -> None:
        """The output has ended: look at the line that has no end."""
        self._match(self._line)
        self._line = b""

    def _match(self, line: bytes) -> None:
        for name, pattern in self._patterns:
            found = pattern.search(line[:MAX_LINE_BYTES])
            if found and found[1] is not None:
                self._reports.add({name: _value(found[1])})


def _compile(regex: str) -> Any:
    try:
        import re2  # noqa: PLC0415 - only for the programs that need it; the runner itself needs nothing
    except ImportError:
        raise InputError(
            "trial.metrics: reading metrics from the output needs google-re2 where the job runs: "
            "pip install google-re2 there, or let the program write $HPO_METRICS"
        ) from None
    options = re2.Options()
    options.log_errors = False
    try:
        pattern = re2.compile(regex.encode(), options)
    except re2.error as error:
        said = b"".join(part for part in error.args if isinstance(part, bytes)).decode(errors="replace")
        raise InputError(f"trial.metrics: {regex[:100]!r} is not an RE2 expression: {said}") from None
    if pattern.groups != 1:
        raise InputError(f"trial.metrics: {regex[:100]!r} has {pattern.groups} groups, must have one")
    return pattern


def _value(text: bytes) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text.decode(errors="replace")
