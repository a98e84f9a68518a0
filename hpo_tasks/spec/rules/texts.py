"""Names and texts: shown to people, stored in databases, sent to clouds as tags. Never part of a path."""

import re
import unicodedata
from collections.abc import Iterator

from hpo_tasks.errors import Problem
from hpo_tasks.spec.model import StudySpec
from hpo_tasks.spec.sentences import shown

# Characters that reorder what stands around them: a name could be made to look like another.
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_CONTROL = frozenset({"Cc", "Cs", "Zl", "Zp"})
_POOL_LENGTH = 256  # of the column in Airflow's database
_TAG = re.compile(r"[A-Za-z0-9 _.:/=+@-]*")


def text_problems(spec: StudySpec) -> Iterator[Problem]:
    """Study name, owner, description and pool."""
    if message := _line_misfit(spec.name, most=200) or _path_like(spec.name):
        yield Problem("name", message)
    if spec.owner is not None and (message := _line_misfit(spec.owner, most=100)):
        yield Problem("owner", message)
    if spec.pool is not None and (message := _line_misfit(spec.pool, most=_POOL_LENGTH)):
        yield Problem("pool", message)
    if spec.description is not None and (
        message := _control_misfit(re.sub(r"[\n\r\t]", " ", spec.description))
    ):
        yield Problem("description", message)


def tag_problems(spec: StudySpec) -> Iterator[Problem]:
    """Tags: what AWS takes, and at most the 100 characters that Airflow shows as `key:value`."""
    for key, value in spec.tags.items():
        field = f"tags.{key}"
        if not key.strip() or not _TAG.fullmatch(key) or not _TAG.fullmatch(value):
            yield Problem(field, "a tag may hold letters, digits, spaces and _ . : / = + - @ only")
        elif key.lower().startswith(("aws:", "hpo:")):
            yield Problem(field, "tags that begin with aws: or hpo: are reserved")
        elif len(key) + len(value) > 99:
            yield Problem(
                field, f"must be at most 99 characters, key and value together, got {len(key) + len(value)}"
            )


def _line_misfit(text: str, *, most: int) -> str:
    if not text.strip():
        return "must not be empty"
    if len(text) > most:
        return f"must be at most {most} characters, got {len(text)}"
    if text != text.strip():
        return f"must not begin or end with a space, got {shown(text)}"
    return _control_misfit(text)


def _control_misfit(text: str) -> str:
    for char in text:
        if char in _BIDI or unicodedata.category(char) in _CONTROL:
            return f"must not hold control characters, got U+{ord(char):04X}"
    return ""


def _path_like(name: str) -> str:
    return f"must not hold / or \\, got {shown(name)}" if re.search(r"[/\\]", name) else ""
