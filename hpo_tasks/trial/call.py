"""Runs a Python objective or a built-in trainer in a process of its own, forked or as `python -m hpo_tasks.trial.call`.

So a segmentation fault, an `os._exit` or the end of the memory takes that process and not the runner, which reports it.
"""

import faulthandler
import importlib
import json
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hpo_tasks.errors import HpoError
from hpo_tasks.trial.session import Session

ERROR_FILE = "error.txt"
"""Beside call.json: what the callable raised."""
MAX_ERROR_CHARS = 100_000


def main(call_file: Path) -> int:
    """Do what the file says in this process, which was made for it; returns the exit status."""
    faulthandler.enable()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # else a killed program's last lines are lost
    # SIGTERM comes together with $HPO_STOP: the callable learns of it by should_stop() and may save its state.
    signal.signal(signal.SIGTERM, lambda *_: None)
    call = json.loads(call_file.read_bytes())
    session = replace(Session.from_environment(), inputs=call["inputs"])
    try:
        _call(call, session)
    except HpoError as error:  # written for a person; a traceback would only hide it
        sys.stderr.write(f"{error}\n")
        return _failed(call_file, str(error))
    except Exception as error:  # noqa: BLE001 - whatever the user's code raises, its author wants to see
        traceback.print_exc()
        return _failed(call_file, f"{type(error).__name__}: {error}")
    return 0


def _call(call: Mapping[str, Any], session: Session) -> None:
    # The working directory holds the user's code. Not before now: a file in it may be named like one of Python's own.
    sys.path.insert(0, "")
    if "trainer" in call:
        from hpo_tasks.trial import trainers  # noqa: PLC0415 - imports its libraries when it needs them

        session.record(trainers.run(call["trainer"], session, call["options"]))
        return
    result = load(call["entry_point"])(session)
    if isinstance(result, Mapping):
        session.record(result)
    elif result is not None:
        if len(call["objectives"]) != 1:
            names = ", ".join(call["objectives"])
            raise TypeError(f"{call['entry_point']} returned one value; return a mapping with {names}")
        session.record({call["objectives"][0]: result})


def load(entry_point: str) -> Callable[[Session], Any]:
    """Import the callable that `module:name` names.

    Raises:
        ImportError, AttributeError, TypeError: it cannot be imported, or is not callable.
    """
    module, _, name = entry_point.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    if not callable(found):
        raise TypeError(f"{entry_point} is not callable")
    return found  # type: ignore[no-any-return]


def _failed(call_file: Path, message: str) -> int:
    # Not cut to the length of a reason yet: half a secret would not be recognised as one any more.
    error = message[:MAX_ERROR_CHARS].encode(errors="backslashreplace")
    call_file.with_name(ERROR_FILE).write_bytes(error)
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
