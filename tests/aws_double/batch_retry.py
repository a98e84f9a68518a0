"""Whether Batch tries a job again after an attempt."""

from collections.abc import Mapping
from typing import Any


def tries_again(
    strategy: Mapping[str, Any], attempts: int, *, exit_code: int | None, reason: str, status_reason: str
) -> bool:
    """Whether an attempt that failed, the `attempts`-th, is followed by another one.

    The first entry of evaluateOnExit of which all conditions hold decides; if none does, the job is tried again.
    """
    if attempts >= strategy.get("attempts", 1):
        return False
    seen = {
        "onExitCode": "" if exit_code is None else str(exit_code),
        "onReason": reason,
        "onStatusReason": status_reason,
    }
    for entry in strategy.get("evaluateOnExit", []):
        conditions = {name: entry[name] for name in seen if entry.get(name)}
        if all(_fits(pattern, seen[name]) for name, pattern in conditions.items()):
            return entry["action"].upper() == "RETRY"
    return True


def _fits(pattern: str, text: str) -> bool:
    """Batch's globs: case does not matter, a * at the end stands for anything."""
    pattern, text = pattern.lower(), text.lower()
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern
