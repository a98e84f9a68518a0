"""A trial that does nothing but say when it did so. Standard library only, as the peers run it too."""

import os
import time
from typing import Any

ENTERED_AT = time.time()


def objective(session: Any) -> dict[str, float]:
    """The loss is a parameter; the rest are moments (Unix seconds) of this process."""
    return {
        "loss": session.params["x"],
        "process_began": process_began(),
        "imported": ENTERED_AT,
        "trained": time.time(),
    }


def process_began() -> float:
    """When the kernel made this process, to a hundredth of a second."""
    with open("/proc/self/stat", encoding="ascii") as stat:  # noqa: PTH123 - pathlib is an import the trial would pay
        ticks = int(stat.read().rpartition(")")[2].split()[19])
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return booted + ticks / os.sysconf("SC_CLK_TCK")
