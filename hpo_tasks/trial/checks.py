"""Checks of one JSON value each, made from smaller ones. Each takes the value and returns it in the type it should have.

A value that breaks its rule raises `WrongValueError`, whose message is the rule and the first characters of the value.
"""

import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import unquote

Check = Callable[[Any], Any]


class WrongValueError(ValueError):
    """A value breaks its rule; the message says which, and what was got."""


def text(max_chars: int, *, min_chars: int = 0, lines: bool = False) -> Check:
    """Text without control characters (`lines`: except for line ends and tabs)."""
    allowed = "\n\t" if lines else ""

    def check(value: Any) -> str:
        if not isinstance(value, str) or not min_chars <= len(value) <= max_chars:
            raise wrong(f"text of {min_chars} to {max_chars} characters", value)
        if any((char < " " or "\x7f" <= char <= "\x9f") and char not in allowed for char in value):
            raise wrong("text without control characters", value)
        return argument(value)

    return check


def argument(value: Any) -> str:
    """Any text that a program can be handed as argument or environment variable."""
    if not isinstance(value, str) or "\0" in value:
        raise wrong("text without NUL", value)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise wrong("valid Unicode", value) from None
    return value


def integer(low: int, high: int = 2**63 - 1) -> Check:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise wrong(f"a whole number from {low} to {high}", value)
        return value

    return check


def number(value: Any) -> float:
    """A finite number, as float."""
    try:
        if not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value):
            return float(value)
    except OverflowError:  # a whole number beyond every float
        pass
    raise wrong("a finite number", value)


def seconds(value: Any) -> float:
    if (found := number(value)) < 0:
        raise wrong("at least 0", value)
    return found


def scalar(value: Any) -> str | int | float | bool | None:
    if value is None or isinstance(value, bool | int):
        return value
    return argument(value) if isinstance(value, str) else number(value)


def boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise wrong("true or false", value)
    return value


def pattern(regex: str, rule: str) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(regex, value):
            raise wrong(rule, value)
        return value

    return check


def time(value: Any) -> str:
    """An ISO 8601 time, or ""."""
    found: str = text(64)(value)
    try:
        if found:
            datetime.fromisoformat(found)
    except ValueError:
        raise wrong("an ISO 8601 time", value) from None
    return found


def relative_path(value: Any) -> str:
    """A path that stays below its folder, also for who decodes %2e in it."""
    path: str = text(900, min_chars=1)(value)
    if "\\" in path or not {"", ".", ".."}.isdisjoint(path.split("/") + unquote(path).split("/")):
        raise wrong("a relative path without . and ..", value)
    return path


def any_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong("an object", value)
    return value


def optional(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def items(check: Check, max_items: int) -> Check:
    """A list, as tuple."""

    def checked(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) > max_items:
            raise wrong(f"a list of at most {max_items} items", value)
        return tuple(at(str(place), check, item) for place, item in enumerate(value))

    return checked


def mapping(check: Check, max_members: int = 1000) -> Check:
    """An object with any names."""
    name_check = text(200, min_chars=1)

    def checked(value: Any) -> dict[str, Any]:
        if len(any_object(value)) > max_members:
            raise wrong(f"an object of at most {max_members} members", value)
        return {at("a name", name_check, name): at(name, check, item) for name, item in value.items()}

    return checked


def record(**members: Check) -> Check:
    """An object with exactly these members."""

    def checked(value: Any) -> dict[str, Any]:
        if any_object(value).keys() != members.keys():
            raise wrong(f"an object with the members {', '.join(members)}", value)
        return {name: at(name, check, value[name]) for name, check in members.items()}

    return checked


def at(place: str, check: Check, value: Any) -> Any:
    """`check(value)`; a broken rule's message starts with the place."""
    try:
        return check(value)
    except WrongValueError as error:
        raise WrongValueError(f"{ascii(place[:100])[1:-1]}: {error}") from None


def wrong(rule: str, value: Any) -> WrongValueError:
    """The error that says `must be <rule>, got <the value's first characters>`."""
    return WrongValueError(f"must be {rule}, got {ascii(value)[:40]}")
