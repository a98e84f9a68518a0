"""Waiting for free GPUs, in the job's own process: used when there are none free at the moment it is submitted.

Only one process at a time looks for free ones; the others wait in the kernel, for the lock of the queue, without using
the processor.
"""

import fcntl
import time
from collections.abc import Sequence
from pathlib import Path

from hpo_tasks.backends import host_shares

LOOK_AGAIN_S = 0.5


def wait(folder: Path, names: Sequence[str], count: int) -> host_shares.Share:
    """Lock `count` of the named GPUs, as soon as so many are free."""
    with (folder / "queue.lock").open("a") as queue:
        fcntl.flock(queue, fcntl.LOCK_EX)
        while (share := host_shares.take(folder, names, count)) is None:
            time.sleep(LOOK_AGAIN_S)
    return share
