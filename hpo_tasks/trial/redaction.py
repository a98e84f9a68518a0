"""Takes the values of secrets out of what a program says, so that a careless print or exception does not publish them.

It is no barrier against a program that wants to publish them: base64 is enough to get past it.
"""

import json
import re
from collections.abc import Collection, Iterable
from urllib.parse import quote, quote_plus

MASK = b"***"
SHOWN_BYTES = 3
"""So many bytes at the end of the output are shown though a value begins with them: most texts end in such bytes."""


class Redactor:
    """Knows the values. Each is found as it stands, and in the forms that error messages and logs give it."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._forms = {form.encode() for value in values for form in _forms(value)}
        self._pattern = _pattern(self._forms)

    def text(self, text: str) -> str:
        """The text with `***` for every value in it."""
        if not self._forms:
            return text
        data = text.encode(errors="backslashreplace")
        return self._pattern.sub(MASK, data).decode(errors="replace")

    def stream(self) -> "RedactedStream":
        """For bytes that come in pieces."""
        return RedactedStream(self._forms, self._pattern)


class RedactedStream:
    """Redacts bytes piece by piece. What may be the beginning of a value is held back until the next piece decides."""

    def __init__(self, forms: Collection[bytes], pattern: re.Pattern[bytes]) -> None:
        self._forms = forms
        self._pattern = pattern
        self._held = b""

    def feed(self, piece: bytes) -> bytes:
        """The next piece of the redacted bytes."""
        if not self._forms:
            return piece
        data, redacted, done = self._held + piece, bytearray(), 0
        while True:
            undecided = min(_begins_at_the_end(form, data, done) for form in self._forms)
            match = self._pattern.search(data, done)
            if match is None or match.start() >= undecided:
                break
            redacted += data[done : match.start()] + MASK
            done = match.end()
        self._held = data[undecided:]
        return bytes(redacted + data[done:undecided])

    def finish(self) -> bytes:
        """The last piece: of what was held back, a few bytes are shown; more are masked, as most of a value is."""
        held, self._held = self._held, b""
        if len(held) > SHOWN_BYTES:
            return MASK
        return self._pattern.sub(MASK, held) if held else b""


def _forms(value: str) -> set[str]:
    bare = value.strip()
    forms = {value, bare, repr(bare)[1:-1], quote(bare, safe=""), quote_plus(bare)}
    forms |= {json.dumps(bare, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    return forms - {""}


def _pattern(forms: Iterable[bytes]) -> re.Pattern[bytes]:
    """Matches the longest form that begins at a place."""
    return re.compile(b"|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)))


def _begins_at_the_end(form: bytes, data: bytes, start: int) -> int:
    """Where, from `start` on, a form begins that would go on beyond the end of the data; its length if none does."""
    place = data.find(form[:1], max(start, len(data) - len(form) + 1))
    while place >= 0:
        if form.startswith(data[place:]):
            return place
        place = data.find(form[:1], place + 1)
    return len(data)
