"""The user's argv list with parameter values in place of `{name}`. No shell ever reads it."""

import json
import re
from collections.abc import Mapping, Sequence

from hpo_tasks.errors import InputError
from hpo_tasks.trial.contract import Scalar

_TOKEN = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}|[{}]")


def render_command(command: Sequence[str], params: Mapping[str, Scalar]) -> list[str]:
    """Fill the placeholders of an argv list. Values are never looked into again.

    `{name}` becomes the parameter's value, `{{` and `}}` literal braces. An element that names a parameter which is
    not among `params` is left out: it is inactive in this configuration (the study file's validator knows all names).

    Raises:
        InputError: a lone brace, a placeholder that is not a plain name, NUL, or nothing left to run.
    """
    rendered = [_render(element, params) for element in command]
    argv = [element for element in rendered if element is not None]
    if not argv or not argv[0]:
        raise InputError("command: names no program for this configuration")
    return argv


def value_text(value: Scalar) -> str:
    """A parameter's value as programs get it: strings verbatim, other values as JSON text."""
    return value if isinstance(value, str) else json.dumps(value, allow_nan=False)


def _render(element: str, params: Mapping[str, Scalar]) -> str | None:
    """The element with values filled in, None if it names an inactive parameter."""
    pieces, end = [], 0
    for token in _TOKEN.finditer(element):
        pieces.append(element[end : token.start()])
        end = token.end()
        name = token[1]
        if name is not None:
            if name not in params:
                return None
            pieces.append(value_text(params[name]))
        elif len(token[0]) == 2:
            pieces.append(token[0][0])
        else:
            raise InputError(
                f"command: {element[:100]!r} has a lone {token[0]}: write {{name}} for a value, "
                "{{ and }} for literal braces"
            )
    text = "".join((*pieces, element[end:]))
    if "\0" in text:
        raise InputError("command: no argument can hold a NUL character")
    return text
