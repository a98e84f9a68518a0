"""Submits a request from a process of its own, and may die in the middle of it.

python submitter.py <root> <state> <request.json> <namespaces|plain> [<where>]

`where` is `before:<name>` or `after:<name>`: SIGKILL before or after the backend calls that function.
"""

import os
import signal
import sys
from pathlib import Path

from hpo_tasks.backends import host_shares, local
from hpo_tasks.trial.contract import decode_request

FUNCTIONS = {
    "lock": (host_shares, "try_lock"),
    "look": (local.LocalBackend, "_is_known"),
    "start": (local, "start_job"),
    "note": (local.LocalBackend, "_write_job"),
}


def die_at(moment: str, name: str) -> None:
    owner, attribute = FUNCTIONS[name]
    real = getattr(owner, attribute)

    def wrapped(*args, **kwargs):
        if moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, attribute, wrapped)


def main() -> None:
    root, state, request, mode, *where = sys.argv[1:]
    backend = local.LocalBackend(root, Path(state), isolate=mode == "namespaces")
    assert backend.isolated == (mode == "namespaces")
    if where:
        die_at(*where[0].split(":"))
    backend.submit(decode_request(Path(request).read_bytes()))


if __name__ == "__main__":
    main()
