"""How a problem is worded: values as the user would write them, names that were probably meant."""

import difflib
import json
import math
from collections.abc import Iterable, Mapping

from hpo_tasks.spec.secret_shapes import secret_shape, without_secrets

_SHOWN_CHARACTERS = 60


def shown(value: object) -> str:
    """The value as YAML would have it, on one line and short; never a value that looks like a secret."""
    match value:
        case None | bool():
            return json.dumps(value)
        case int() | float():
            return number(value)
        case str():
            return _quoted(value)
        case Mapping():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case _:
            return f"a {type(value).__name__}"


def number(value: float) -> str:
    """A number in the shortest form that reads back as the same number: 0.3, 3, 1e-05."""
    if isinstance(value, float) and math.isfinite(value):
        text = repr(value)
        return text.removesuffix(".0")
    return str(value)


def _quoted(text: str) -> str:
    if secret_shape(text):
        return "a text that looks like a secret"
    short = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
    return _printable(json.dumps(short, ensure_ascii=False))


def one_line(text: str) -> str:
    """A message or field with the user's own names in it, fit for a terminal and a log: one line, no secret."""
    return _printable(without_secrets(text))


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`, did you mean …?` if a known name is close, else the known names if they are few, else nothing."""
    names = list(known)
    if near := nearest(name, names):
        return f", did you mean `{near}`?"
    if names and len(names) <= 12:
        return f"; known: {listed(names)}"
    return ""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like `name`, upper and lower case alike; None if none is close."""
    folded = {other.casefold(): other for other in known}
    asked = name.casefold()[:100]
    found = difflib.get_close_matches(asked, folded, n=1, cutoff=0.65)
    found += [other for other in folded if len(other) > 2 and asked.startswith(other)]  # `maximum` for `max`
    return folded[found[0]] if found else None


def listed(names: Iterable[str]) -> str:
    return ", ".join(names)
