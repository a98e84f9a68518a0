"""A Python callable in a process of its own that is forked from the runner, with whatever the runner has loaded.

Only where the runner is process 1 of its namespace: elsewhere a process that the callable leaves behind is found by its
environment, and a forked one has that of the process it was forked from.
"""

import atexit
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

CARRIED_OVER = ("numpy", "torch", "xgboost", "lightgbm")
"""Libraries with threads of their own, whose number was fixed when the runner's parent loaded them."""


@dataclass(slots=True)
class Forked:
    """The child; `returncode` is None until its parent has reaped it, as with `subprocess.Popen`."""

    pid: int
    returncode: int | None = None


def fork(
    function: Callable[[], int], *, env: Mapping[str, str], folder: Path, output: int, threads: int
) -> Forked:
    """Run the function in a child that looks as if it had been started as a program.

    Args:
        function: its result is the exit status.
        env: the child's whole environment.
        folder: its working directory.
        output: descriptor of its standard output and error.
        threads: of numerical libraries that are loaded already, which read their variables when they were.

    Raises:
        OSError: no process, or no such folder.
    """
    folder.stat()
    pid = os.fork()
    if pid == 0:
        _become(function, env, folder, output, threads)
    return Forked(pid)


def _become(
    function: Callable[[], int], env: Mapping[str, str], folder: Path, output: int, threads: int
) -> NoReturn:
    status = 1
    try:
        _start_afresh(env, folder, output)
        _set_threads(threads)
        status = function()
    except SystemExit as error:
        status = _status(error)
    except BaseException:  # noqa: BLE001 - what a program would show
        traceback.print_exc()
    finally:
        _end(status)


def _start_afresh(env: Mapping[str, str], folder: Path, output: int) -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    atexit._clear()  # noqa: SLF001 - what multiprocessing does in its children; there is no public name
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # locks of the job among them: they are not the program's
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    tempfile.tempdir = None  # the runner's


def _set_threads(threads: int) -> None:
    """What a library would have read from its environment when it was loaded, and seeds that no sibling has."""
    if not any(name in sys.modules for name in CARRIED_OVER):
        return
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()
    with suppress(ImportError):
        from threadpoolctl import threadpool_limits  # noqa: PLC0415 - comes with scikit-learn

        threadpool_limits(threads)


def _status(error: SystemExit) -> int:
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    sys.stderr.write(f"{error.code}\n")
    return 1


def _end(status: int) -> NoReturn:
    """End as an interpreter does: wait for threads, run exit functions, flush."""
    with suppress(BaseException):
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
    with suppress(BaseException):
        atexit._run_exitfuncs()  # noqa: SLF001 - see above
    for stream in (sys.stdout, sys.stderr):
        with suppress(BaseException):
            stream.flush()
    os._exit(status & 0xFF)
