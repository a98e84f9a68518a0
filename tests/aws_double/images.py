"""What the name of a container image means on this machine."""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
# Any image has this interpreter and this project, as the project's own trial image does.
DEFAULT = [[".*", {"env": {"PYTHONPATH": str(REPOSITORY)}}]]


class ImageMissingError(Exception):
    """No registry has such an image."""


@dataclass(frozen=True)
class Image:
    """An image's entrypoint (put before the command) and the variables that it sets."""

    entrypoint: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


class Images:
    """Rows of [regular expression for the whole name, {"entrypoint": [...], "env": {...}}]; the first that fits counts."""

    def __init__(self) -> None:
        self._rows: list[list[Any]] = DEFAULT

    def configure(self, rows: list[list[Any]] | None) -> None:
        """Replace all rows; None: every name means this interpreter with this project."""
        self._rows = DEFAULT if rows is None else rows

    def find(self, name: str) -> Image:
        """The image of that name.

        Raises:
            ImageMissingError: no row fits.
        """
        for pattern, meaning in self._rows:
            if re.fullmatch(pattern, name):
                return Image(meaning.get("entrypoint", ()), meaning.get("env", {}))
        raise ImageMissingError(name)


def base_environment() -> dict[str, str]:
    """Variables that every container has, whatever its image."""
    programs = Path(sys.executable).parent
    return {
        "PATH": f"{programs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
    }
