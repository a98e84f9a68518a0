"""Text of users and programs, made safe for a terminal; numbers and times as people read them."""

import json
import unicodedata
from collections.abc import Mapping
from datetime import datetime

from hpo_tasks.trial.contract import Scalar

_JOINERS = frozenset("\u200c\u200d")
"""Zero-width (non-)joiner: without them emoji and Persian words come out wrong, and they can do no harm."""


def plain(text: str) -> str:
    r"""The text without anything that a terminal obeys: control characters, escapes, bidi overrides become `\xNN`.

    Names, parameters and reasons may be hostile: a line feed forges a line, an ANSI escape clears the screen, U+202E
    turns the rest of the line around.
    """
    return "".join(char if _is_harmless(char) else _escaped(char) for char in text)


def plain_lines(text: str) -> str:
    """As `plain`, but line feeds stay: for our own messages of several lines with users' text in them."""
    return "\n".join(plain(line) for line in text.split("\n"))


def number(value: float) -> str:
    """Six significant digits: 0.123457, 1e-05, 42."""
    return f"{value:.6g}"


def scalar(value: Scalar) -> str:
    """A parameter's value in a few characters; text with spaces or that reads like another value is quoted."""
    if isinstance(value, float):
        return number(value)
    if isinstance(value, str):
        return plain(value) if _is_word(value) else plain(json.dumps(value, ensure_ascii=False))
    return json.dumps(value)


def params(values: Mapping[str, Scalar], *, limit: int | None = None) -> str:
    """`learning_rate=0.1 max_depth=6`; beyond `limit` characters it ends in `… and 3 more`."""
    words = [f"{plain(name)}={scalar(value)}" for name, value in values.items()]
    kept, length = len(words), 0
    for position, word in enumerate(words):
        length += len(word) + 1
        if limit is not None and length > limit and position > 0:
            kept = position
            break
    left_out = len(words) - kept
    return " ".join(words[:kept]) + (f" … and {left_out} more" if left_out else "")


def duration(seconds: float) -> str:
    """`0.42 s`, `12 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 9.95:
        return f"{seconds:.2g} s" if seconds >= 0.01 else "0 s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def moment(when: datetime | None) -> str:
    """`2026-01-31 02:00:07` in UTC; `-` if there is none."""
    return "-" if when is None else f"{when:%Y-%m-%d %H:%M:%S}"


def _is_harmless(char: str) -> bool:
    return char.isprintable() or char in _JOINERS or unicodedata.category(char) == "Zs"


def _escaped(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _is_word(text: str) -> bool:
    return bool(text) and text not in ("true", "false", "null") and not any(char.isspace() for char in text)
