"""Text from a hostile program made safe to show: nothing in it can move a cursor or reorder a line."""

import re

# C0, C1, surrogates, line and paragraph separators, and the marks that change the direction of writing.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with every unsafe character as an escape (ESC as its code in hex); line ends and tabs stay."""
    return _UNSAFE.sub(_escape, text)


def one_line(text: str, max_chars: int) -> str:
    """`printable` text on one line, cut to `max_chars` with `…` as its last character."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= max_chars else line[: max_chars - 1] + "…"


def last_lines(data: bytes, max_bytes: int) -> str:
    """The end of a program's output as printable text of at most `max_bytes` bytes, from the start of a line."""
    text = printable(data[-max_bytes:].decode(errors="replace").replace("\r\n", "\n"))
    encoded = text.encode()
    if len(data) <= max_bytes and len(encoded) <= max_bytes:
        return text
    tail = encoded[-max_bytes:].decode(errors="ignore")
    _, line_end, rest = tail.partition("\n")
    return rest if line_end and rest else tail


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
