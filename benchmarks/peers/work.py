"""The same trial for every peer: no-op, or one configuration of house_prices (see ../programs/house_prices.py)."""

import json
import sys
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1] / "programs"), str(Path(__file__).parents[2])]


def read(path: str) -> dict[str, Any]:
    """{"count": n} for no-op trials, with data, options and configurations for house_prices."""
    work: dict[str, Any] = json.loads(Path(path).read_bytes())
    return work


def result(work: dict[str, Any], index: int) -> float:
    """The loss of one trial."""
    if "data" not in work:
        return float(index)
    import house_prices  # noqa: PLC0415 - a no-op trial does not pay for it

    return house_prices.train(work, index)


def write(path: str, wall_s: float, values: dict[int, float]) -> None:
    """What a peer's study found: its wall time, and the losses by index."""
    document = {"wall_s": wall_s, "values": [values[index] for index in sorted(values)]}
    Path(path).write_text(json.dumps(document), encoding="utf-8")
