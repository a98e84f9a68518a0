"""Size limits on plain data (what YAML and JSON hold), checked before anything else looks at it."""

import math
from collections.abc import Iterator, Mapping

from hpo_tasks.errors import Problem
from hpo_tasks.spec.sentences import shown

MAX_BYTES = 256 * 1024
MAX_DEPTH = 12
MAX_STRING_BYTES = 1024
MAX_INT_DIGITS = 18
MAX_KEYS = 1000
MAX_VALUES = 20_000


def dotted(path: tuple[str | int, ...]) -> str:
    """A path as the user reads it: ("trial", "command", 2) → `trial.command[2]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def limit_problems(data: object) -> list[Problem]:
    """What is too large, too deep or not plain data; at most 20 problems, found without recursion.

    Args:
        data: the whole document, from any source.
    """
    problems: list[Problem] = []
    todo: list[tuple[tuple[str | int, ...], object]] = [((), data)]
    values = characters = 0
    while todo and len(problems) < 20:
        path, value = todo.pop()
        values += 1
        characters += len(value) if isinstance(value, str) else 0
        if values > MAX_VALUES or characters > MAX_BYTES:
            return [Problem("", f"is too large: more than {MAX_VALUES} values or 256 KiB of text")]
        if isinstance(value, Mapping) and len(value) > MAX_KEYS:
            return [Problem(dotted(path), f"is too large: more than {MAX_KEYS} fields")]
        if isinstance(value, Mapping | list | tuple):
            if len(path) >= MAX_DEPTH:
                return [Problem(dotted(path[:3]), f"is nested deeper than {MAX_DEPTH} levels")]
            problems += _key_problems(path, value)
            todo += [((*path, key), item) for key, item in reversed(list(_items(value)))]
        elif message := _misfit(value):
            problems.append(Problem(dotted(path), message))
    return problems


def _items(value: object) -> Iterator[tuple[str | int, object]]:
    if isinstance(value, Mapping):
        yield from ((key, item) for key, item in value.items() if isinstance(key, str))
    elif isinstance(value, list | tuple):
        yield from enumerate(value)


def _key_problems(path: tuple[str | int, ...], value: object) -> Iterator[Problem]:
    for key in value if isinstance(value, Mapping) else ():
        if not isinstance(key, str):
            yield Problem(dotted(path), f"keys must be text, got {shown(key)}: put it in quotes")
        elif message := _text_misfit(key):
            yield Problem(dotted(path), f"a key {message}")


def _misfit(value: object) -> str:
    match value:
        case str():
            return _text_misfit(value)
        case bool() | None:
            return ""
        case int():
            too_long = abs(value) >= 10**MAX_INT_DIGITS
            return (
                f"must have at most {MAX_INT_DIGITS} digits (if it is text, put it in quotes)"
                if too_long
                else ""
            )
        case float():
            return "" if math.isfinite(value) else f"must be a finite number, got {value}"
        case _:
            return f"must be text, a number, true, false, null, a list or a mapping, got {shown(value)}"


def _text_misfit(text: str) -> str:
    if len(text) > MAX_STRING_BYTES:
        return "must be at most 1 KiB of text"
    if "\0" in text:
        return "must not hold the NUL character"
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "holds half of a surrogate pair, which is not a character"
    return "must be at most 1 KiB of text" if size > MAX_STRING_BYTES else ""
