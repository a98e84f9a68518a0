"""`python -m hpo_tasks.backends.gpu_queue <folder> <gpus> <count> -- argv…`: waits for free GPUs, then becomes argv.

Used when there are none free at the moment a job is submitted. Only one process at a time looks for free ones; the
others wait in the kernel, for the lock of the queue, without using the processor.
"""

import fcntl
import os
import sys
import time
from pathlib import Path

from hpo_tasks.backends import host_shares

LOOK_AGAIN_S = 0.5


def main(arguments: list[str]) -> None:
    separator = arguments.index("--")
    folder, names, count = arguments[:separator]
    with (Path(folder) / "queue.lock").open("a") as queue:
        fcntl.flock(queue, fcntl.LOCK_EX)
        while (share := host_shares.take(Path(folder), names.split(","), int(count))) is None:
            time.sleep(LOOK_AGAIN_S)
    for lock in share.locks:
        os.set_inheritable(lock, True)  # noqa: FBT003 - the standard library's signature
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(share.names)
    argv = arguments[separator + 1 :]
    os.execvp(argv[0], argv)  # noqa: S606 - an argv list; no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
