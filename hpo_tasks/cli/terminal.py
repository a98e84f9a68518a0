"""Standard output for data, standard error for messages; nothing that a user or a program wrote is obeyed."""

import json
import os
import sys
from typing import IO, Any

from rich.console import Console, RenderableType
from rich.text import Text

from hpo_tasks.report.text import plain_lines

WIDTH_OF_A_FILE = 120
"""Columns of a table that goes into a file or a pipe."""


def show(*parts: RenderableType) -> None:
    """Print tables and texts to standard output. Text from outside must have gone through `report.text` before."""
    output = console(sys.stdout)
    for part in parts:
        # A line is not broken: addresses and ids can be copied then, and a pipe gets them whole.
        output.print(part, soft_wrap=isinstance(part, Text))


def say(message: str, *, style: str = "") -> None:
    """Print a message to standard error. The message may hold text from outside."""
    console(sys.stderr).print(Text(plain_lines(message), style=style), soft_wrap=True)


def print_json(document: Any, *, indent: int | None = 2) -> None:
    """Print one JSON document to standard output; ASCII only, so no terminal sees a control character."""
    sys.stdout.write(json.dumps(document, indent=indent, allow_nan=False) + "\n")
    sys.stdout.flush()


def console(stream: IO[str]) -> Console:
    """A console that takes text as it is: no markup, no emoji codes, no guessed colours.

    Colours follow the terminal and NO_COLOR.
    """
    has_width = stream.isatty() or "COLUMNS" in os.environ
    return Console(
        file=stream, markup=False, emoji=False, highlight=False, width=None if has_width else WIDTH_OF_A_FILE
    )
