"""Process 1 of a container that is none: sets the host name, starts the command, forwards signals, reaps what is left.

`python container_init.py HOSTNAME COMMAND…`; an empty HOSTNAME leaves the host's. Ends with the command's exit code and
takes everything with it that the command has started, however that was detached.
"""

import ctypes
import os
import signal
import socket
import sys
from types import FrameType

PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    hostname, *command = sys.argv[1:]
    if hostname:
        socket.sethostname(hostname)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)  # without a namespace: orphans come to us all the same
    child = os.fork()
    if child == 0:
        os.setsid()
        os.execvp(command[0], command)

    def forward(number: int, _: FrameType | None) -> None:
        os.kill(child, number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, forward)
    ended, status = 0, 0
    while ended != child:
        ended, status = os.wait()
    code = os.waitstatus_to_exitcode(status)
    kill_the_rest()
    sys.exit(code if code >= 0 else 128 - code)


def kill_the_rest() -> None:
    """Kill the orphans that came to us, and theirs, until there are none."""
    while True:
        for pid in children():
            os.kill(pid, signal.SIGKILL)
        try:
            os.wait()
        except ChildProcessError:
            return


def children() -> list[int]:
    """Living children of this process."""
    with open(f"/proc/self/task/{os.getpid()}/children") as listed:  # noqa: PTH123 - starts faster
        return [int(pid) for pid in listed.read().split()]


if __name__ == "__main__":
    main()
