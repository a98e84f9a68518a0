"""Text → plain data. A strict subset of YAML 1.2, and JSON.

YAML is read from the parser's events, one after the other: no recursion, no object construction, and aliases, anchors
and tags are refused where they stand, so hostile input costs no more than its length.
"""

import json
import re
from typing import TYPE_CHECKING, Any, Literal

from hpo_tasks.errors import Problem, SpecError
from hpo_tasks.spec.limits import MAX_BYTES, MAX_DEPTH, MAX_INT_DIGITS, MAX_VALUES
from hpo_tasks.spec.sentences import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# YAML 1.2.2, section 10.3.2 (core schema).
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)

Format = Literal["yaml", "json"]


class _Unreadable(Exception):  # noqa: N818 - a message on its way to a SpecError, never seen outside
    """The text is not one document of plain data."""


def read(text: bytes | str, *, format: Format, source: str = "") -> Any:  # noqa: A002 - the word users know
    """Parse one document into dicts, lists and scalars.

    Args:
        text: the document; bytes must be UTF-8.
        format: `yaml` or `json`.
        source: name of the file or form, for the message.

    Raises:
        SpecError: too large, not UTF-8, wrong syntax (line and column), or one of the things that are refused:
            duplicate keys, keys that are not text, aliases, anchors, tags, several documents, deep nesting.
    """
    try:
        decoded = _decoded(text)
        return _json(decoded) if format == "json" else _yaml(decoded)
    except _Unreadable as error:
        raise SpecError([Problem("", str(error))], source=source) from None


def _decoded(text: bytes | str) -> str:
    if len(text) > MAX_BYTES:
        raise _Unreadable("is larger than 256 KiB")
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError as error:
            raise _Unreadable(f"must be UTF-8: byte {error.start} is 0x{text[error.start]:02x}") from None
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise _Unreadable("is empty")
    return text


# JSON


def _json(text: str) -> Any:
    try:
        return json.loads(text, parse_int=_int, parse_constant=_json_constant, object_pairs_hook=_json_object)
    except json.JSONDecodeError as error:
        raise _Unreadable(
            f"line {error.lineno}, column {error.colno}: not JSON: {error.msg[:1].lower()}{error.msg[1:]}"
        ) from None
    except RecursionError:
        raise _Unreadable(f"is nested deeper than {MAX_DEPTH} levels") from None


def _json_constant(name: str) -> float:
    raise _Unreadable(f"must hold finite numbers only, got {name}")


def _json_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _Unreadable(f"the key {shown(key)} appears twice in one object")
        found[key] = value
    return found


# YAML


def _yaml(text: str) -> Any:
    from ruamel.yaml import YAML  # noqa: PLC0415 - not needed by those who only use a spec
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415 - see above
    from ruamel.yaml.reader import ReaderError  # noqa: PLC0415 - see above

    try:
        return _document(YAML(typ="safe", pure=True).parse(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _Unreadable(f"{_at(mark)}not YAML: {_one_line(error.problem or error.context or '')}") from None
    except ReaderError as error:
        raise _Unreadable(
            f"not YAML: the character U+{error.character:04X} at position {error.position + 1} is not allowed"
        ) from None
    except YAMLError as error:
        raise _Unreadable(f"not YAML: {_one_line(str(error))}") from None


def _document(events: "Iterable[Any]") -> Any:
    """Build the one document's value from parser events.

    `open_` holds the collections that are not closed yet, outermost first; `keys` the key that waits for its value,
    one for each of them.
    """
    open_: list[Any] = []
    keys: list[str | None] = []
    root: list[Any] = []
    for event in _checked(events):
        kind = type(event).__name__
        if kind in ("MappingEndEvent", "SequenceEndEvent"):
            value = open_.pop()
            keys.pop()
        elif kind == "ScalarEvent":
            value = _scalar(event)
        else:
            if len(open_) >= MAX_DEPTH:
                raise _Unreadable(f"{_at(event.start_mark)}is nested deeper than {MAX_DEPTH} levels")
            if open_ and isinstance(open_[-1], dict) and keys[-1] is None:
                raise _Unreadable(f"{_at(event.start_mark)}a key must be text")
            open_.append({} if kind == "MappingStartEvent" else [])
            keys.append(None)
            continue
        _put(event, value, open_, keys, root)
    return root[0] if root else None


def _put(event: Any, value: Any, open_: list[Any], keys: list[str | None], root: list[Any]) -> None:
    """Put a finished value into the innermost open collection, or keep it as the key of the next one."""
    if not open_:
        root.append(value)
    elif isinstance(open_[-1], list):
        open_[-1].append(value)
    elif keys[-1] is not None:
        open_[-1][keys[-1]] = value
        keys[-1] = None
    elif not isinstance(value, str):
        raise _Unreadable(f"{_at(event.start_mark)}a key must be text, got {shown(value)}: put it in quotes")
    elif value == "<<" and event.implicit[0]:
        raise _Unreadable(f"{_at(event.start_mark)}merge keys (<<) are not allowed: write the fields out")
    elif value in open_[-1]:
        raise _Unreadable(f"{_at(event.start_mark)}the key {shown(value)} appears twice")
    else:
        keys[-1] = value


def _checked(events: "Iterable[Any]") -> "Iterator[Any]":
    """The events of values, after refusing what plain data does not need."""
    documents = 0
    for count, event in enumerate(events):
        if count > 2 * MAX_VALUES:  # keys are events too
            raise _Unreadable(f"is too large: more than {MAX_VALUES} values")
        kind = type(event).__name__
        if kind == "DocumentStartEvent":
            documents += 1
            if documents > 1:
                raise _Unreadable(f"{_at(event.start_mark)}holds several documents: one study per file")
            if event.tags or tuple(event.version or (1, 2)) != (1, 2):
                raise _Unreadable(f"{_at(event.start_mark)}directives other than %YAML 1.2 are not allowed")
        elif kind == "AliasEvent" or getattr(event, "anchor", None) is not None:
            raise _Unreadable(
                f"{_at(event.start_mark)}anchors and aliases (& and *) are not allowed: write it out"
            )
        elif getattr(event, "ctag", None) is not None:
            raise _Unreadable(f"{_at(event.start_mark)}tags (!) are not allowed: plain data only")
        elif kind not in ("StreamStartEvent", "StreamEndEvent", "DocumentEndEvent"):
            yield event
        else:
            continue


def _scalar(event: Any) -> Any:
    text: str = event.value
    if not event.implicit[0]:  # quoted, or a block of text
        return text
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return _int(text, _at(event.start_mark))
    if _FLOAT.fullmatch(text):
        return float(
            text.replace(".", "") if text[-1].isalpha() else text
        )  # Python writes .inf and .nan without dot
    return text


def _int(text: str, where: str = "") -> int:
    if len(text.lstrip("+-")) > MAX_INT_DIGITS + 2:  # 0x: two more
        raise _Unreadable(
            f"{where}a number must have at most {MAX_INT_DIGITS} digits (if it is text, put it in quotes)"
        )
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def _at(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]
