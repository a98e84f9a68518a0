"""Durations and memory sizes as people write them."""

import re

from pydantic_core import PydanticCustomError

from hpo_tasks.spec.sentences import number, shown

_SECONDS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(
    r"(?=.)" + "".join(rf"(?:(?P<{unit}>[0-9]{{1,9}}(?:\.[0-9]{{1,9}})?){unit})?" for unit in _SECONDS)
)
_BYTES = {"B": 1} | {
    prefix + suffix: base**power
    for power, prefix in enumerate(("k", "M", "G", "T"), start=1)
    for suffix, base in (("B", 1000), ("iB", 1024))
}
_BYTES["KiB"] = _BYTES["kiB"]
_MEMORY = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?([A-Za-z]+)")
MAX_DURATION_S = 365 * 86_400
MIN_MEMORY_BYTES = 16 << 20
MAX_MEMORY_BYTES = 64 << 40


def duration_s(value: object) -> float:
    """Seconds of `6h`, `30m`, `1h30m`, `90s`, `1d`, or of a plain number of seconds.

    Raises:
        PydanticCustomError: not a duration, below 1 s or above 365 days.
    """
    seconds = _parsed_duration(value)
    if seconds is None:
        raise PydanticCustomError(
            "duration",
            "must be a duration such as 6h, 30m, 1h30m or a number of seconds, got {got}",
            {"got": shown(value)},
        )
    if not 1 <= seconds <= MAX_DURATION_S:
        raise PydanticCustomError(
            "duration_range", "must be between 1s and 365d, got {got}", {"got": shown(value)}
        )
    return seconds


def _parsed_duration(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    if not isinstance(value, str):
        return None
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    found = _DURATION.fullmatch(value)
    if found is None:
        return None
    return float(sum(float(amount) * _SECONDS[unit] for unit, amount in found.groupdict().items() if amount))


def memory_bytes(value: object) -> int:
    """Bytes of `4GiB`, `512MiB`, `2GB`, or of a plain number of bytes.

    Raises:
        PydanticCustomError: not a size, below 16 MiB or above 64 TiB.
    """
    size = _parsed_memory(value)
    if size is None:
        raise PydanticCustomError(
            "memory", "must be a size such as 4GiB, 512MiB or 2GB, got {got}", {"got": shown(value)}
        )
    if not MIN_MEMORY_BYTES <= size <= MAX_MEMORY_BYTES:
        raise PydanticCustomError(
            "memory_range", "must be between 16MiB and 64TiB, got {got}", {"got": _size_as_written(value)}
        )
    return size


def _parsed_memory(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = _MEMORY.fullmatch(value) if isinstance(value, str) else None
    if found is None or found[2] not in _BYTES:
        return None
    return round(float(found[1]) * float(_BYTES[found[2]]))


def _size_as_written(value: object) -> str:
    return f"{value} bytes (write a unit, e.g. 4GiB)" if isinstance(value, int) else shown(value)


def duration_text(seconds: float) -> str:
    """Seconds as a person reads them: 90 → `1m30s`, 5400 → `1h30m`, 0.5 → `0.5s`."""
    if seconds != int(seconds):
        return f"{number(seconds)}s"
    parts, rest = [], int(seconds)
    for unit, size in _SECONDS.items():
        count, rest = divmod(rest, size)
        parts.append(f"{count}{unit}" if count else "")
    return "".join(parts) or "0s"


def memory_text(size: int) -> str:
    """Bytes as a person reads them: 4294967296 → `4GiB`; exact, or in the largest unit that divides it."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return f"{size}B"
