"""The runner: reads a request, runs one attempt, writes how it ended. Started as `python -m hpo_tasks.trial <uri>`.

Exit codes: 0 the outcome or report is written, or another process has the attempt; 2 the request cannot be read;
75 the object store stayed away or refused, so nothing could be written.
"""

import os
import resource
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from hpo_tasks.errors import HpoError, InputError, IntegrityError
from hpo_tasks.trial.attempt import Attempt
from hpo_tasks.trial.contract import (
    HAS_VALUES,
    MAX_DOCUMENT_BYTES,
    Outcome,
    Request,
    canonical_json,
    decode_request,
    encode_outcome,
)
from hpo_tasks.trial.layout import AttemptKey, study_prefix
from hpo_tasks.trial.objects import Objects, open_objects
from hpo_tasks.trial.signals import Signals
from hpo_tasks.trial.workspace import Workspace, scratch_folder

EXIT_DONE = 0
EXIT_BAD_REQUEST = 2
EXIT_NO_STORE = 75

SCRATCH = "HPO_SCRATCH"
"""Variable: folder below which attempts make their scratch folders; default: the system's for temporary files."""
CPUS = "HPO_CPUS"
"""Variable: comma-separated numbers of the processors to run on; default: all."""


def main(arguments: Sequence[str]) -> int:
    """Run the attempt whose request lies at the given URI; returns the exit code."""
    if len(arguments) != 1:
        return _fail("usage: python -m hpo_tasks.trial <uri of request.json>", EXIT_BAD_REQUEST)
    signals = Signals()
    # A crash of the program says what it has to by its exit status; a core file would only fill the disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if cpus := os.environ.get(CPUS):
        os.sched_setaffinity(0, [int(number) for number in cpus.split(",")])
    try:
        objects, key = locate(arguments[0])
        request = read_request(objects, key)
        if claim(objects, key, request):
            run(objects, key, request, signals)
    except (InputError, IntegrityError) as error:
        return _fail(str(error), EXIT_BAD_REQUEST)
    except HpoError as error:
        return _fail(str(error), EXIT_NO_STORE)
    return EXIT_DONE


def locate(uri: str) -> tuple[Objects, AttemptKey]:
    """The object store and the attempt that a request's URI stands for.

    Raises:
        InputError: it is not the URI of a request.
    """
    root, _, rest = uri.rpartition("/studies/")
    try:
        key = AttemptKey.of_request(f"studies/{rest}")
    except ValueError:
        raise InputError(
            f"{uri!r} is not the URI of a request (…/{study_prefix('<id>')}…/request.json)"
        ) from None
    return open_objects(root), key


def read_request(objects: Objects, key: AttemptKey) -> Request:
    """Read the attempt's request.

    Raises:
        IntegrityError: there is none, it is damaged, or it is another attempt's.
        UnavailableError, RefusedError: the store's.
    """
    data = objects.read(key.request, limit=MAX_DOCUMENT_BYTES)
    if data is None:
        raise IntegrityError(
            f"{key.request}: there is no such request in {objects.uri}, or it may not be read"
        )
    request = decode_request(data)
    named = (request.study, request.round, request.slot, request.attempt)
    if named != (key.trial.study, key.trial.round, key.trial.slot, key.number):
        raise IntegrityError(f"{key.request}: is the request of another attempt")
    return request


def claim(objects: Objects, key: AttemptKey, request: Request) -> bool:
    """Whether this process is the one to run the attempt: the first to say so, while the trial is undecided.

    Raises:
        UnavailableError, RefusedError: the store's.
    """
    if objects.read(key.trial.outcome) is not None:
        return False
    mine = canonical_json(
        {
            "schema": 1,
            "job": request.job,
            "instance": os.urandom(8).hex(),
            "host": os.uname().nodename,
            "pid": os.getpid(),
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
    )
    # Read back when we seem to have lost: the reply to our own write may have got lost, and its repetition refused.
    return objects.create(key.started, mine) or objects.read(key.started) == mine


def run(objects: Objects, key: AttemptKey, request: Request, signals: Signals) -> None:
    """Run the attempt and write how it ended.

    Raises:
        UnavailableError, RefusedError: the store stayed away or refused, so nothing is written.
    """
    parent = os.environ.get(SCRATCH) or os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - a private folder is made in it
    with scratch_folder(Path(parent), request.job) as scratch:
        outcome = Attempt(objects, key, request, Workspace(scratch), signals).run()
    commit(objects, key, outcome)


def commit(objects: Objects, key: AttemptKey, outcome: Outcome) -> None:
    """Write the last object of the attempt: the trial's outcome if it has values, else the attempt's report.

    Whoever was first wins; then ours is superfluous, and that is all right.
    """
    target = key.trial.outcome if outcome.cls in HAS_VALUES else key.report
    objects.create(target, encode_outcome(outcome))


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"{message}\n")
    return code
