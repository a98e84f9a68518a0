"""`{name}` in texts: argv elements and input addresses. One grammar, without attributes, indexes or conversions.

{name}            a placeholder
{name:%Y-%m-%d}   one with a format, where the caller allows it
{{  }}            literal braces
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One placeholder: its name, and the text after the colon ("" if there is none)."""

    name: str
    format: str = ""


class PlaceholderError(ValueError):
    """The text is outside the grammar; the message is a sentence for a person."""


def split(text: str) -> list[str | Placeholder]:
    """The text's literal pieces and placeholders, in order. Empty pieces are left out.

    Raises:
        PlaceholderError: a lone brace, or a placeholder that is not a plain name.
    """
    parts: list[str | Placeholder] = []
    literal, end = "", 0
    for token in _TOKEN.finditer(text):
        literal += text[end : token.start()]
        end = token.end()
        if token[0] in ("{{", "}}"):
            literal += token[0][0]
            continue
        parts += [literal] if literal else []
        parts.append(_placeholder(token[0], token[1]))
        literal = ""
    literal += text[end:]
    return [*parts, literal] if literal else parts


def _placeholder(token: str, inside: str | None) -> Placeholder:
    if inside is None:
        raise PlaceholderError(f"has a lone `{token}`: write {token * 2} for a literal brace")
    name, colon, format_ = inside.partition(":")
    if not _NAME.fullmatch(name) or (colon and not format_):
        raise PlaceholderError(
            f"`{token[:60]}` is not a placeholder: write {{name}}, or {{{{ and }}}} for literal braces"
        )
    return Placeholder(name, format_)


def fill(text: str, value: Callable[[Placeholder], str]) -> str:
    """The text with every placeholder replaced by `value(placeholder)`; values are never looked into again.

    Raises:
        PlaceholderError: the text is outside the grammar.
    """
    return "".join(part if isinstance(part, str) else value(part) for part in split(text))
