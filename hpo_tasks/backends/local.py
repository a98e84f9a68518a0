"""Attempts as detached processes of this host. A job lives on when the task that submitted it dies.

Below `state_dir`, which belongs to this host and user:

    jobs/<job>/job.lock     locked by the job's processes for as long as one of them lives: the only sign of life
    jobs/<job>/job.json     written once the job has been started: host, and the time by which it must have ended
    jobs/<job>/runner.log   what the runner itself says; usually empty
    jobs/<job>/scratch/     the attempt's files; the last lines of its output while it runs
    cpus/<n>.lock, gpus/<n>.lock
    parents/                the processes that jobs are forked from, see trial_parent.py

No process id is stored. Who has `job.lock` open belongs to the job, so a process id that the system gave to somebody
else is never signalled.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import hpo_tasks
from hpo_tasks.backends import host_shares, sandbox
from hpo_tasks.backends.base import JobStatus
from hpo_tasks.backends.job_order import Order
from hpo_tasks.backends.job_start import parents, start_job
from hpo_tasks.errors import InputError, IntegrityError, RefusedError, UnavailableError
from hpo_tasks.trial import processes
from hpo_tasks.trial.contract import MAX_DOCUMENT_BYTES, MAX_LOG_TAIL_BYTES, Request, canonical_json
from hpo_tasks.trial.environment import SECRET_PREFIX
from hpo_tasks.trial.folder_objects import FolderObjects
from hpo_tasks.trial.layout import AttemptKey, study_prefix
from hpo_tasks.trial.local_files import free_bytes, plain_errors
from hpo_tasks.trial.objects import parse_uri
from hpo_tasks.trial.printable import last_lines, one_line
from hpo_tasks.trial.trainers import MODULES
from hpo_tasks.trial.workspace import LIVE_LOG, remove_tree

REPORT_S = 5.0
"""What `stop` allows the runner beyond the grace, to write its report."""
HARD_END_MARGIN_S = 5400.0
"""Beyond time limit and grace: time to fetch the code and to store checkpoint and model, and an hour by which the clocks
of two hosts may differ."""
KILL_PATIENCE_S = 10.0
MIN_FREE_BYTES = 16 << 20
"""With less room for scratch folders no job is started: it would spend an attempt on failing."""
_MAX_LOG_BYTES = 16 << 20

ReadSecrets = Callable[[Sequence[str]], Mapping[str, str]]
"""Gives the values of the named secrets, name → value."""


class LocalBackend:
    """Implements `Backend` on this host.

    Where the kernel allows, each job runs in namespaces of its own (sandbox.py); else in its own session only.
    """

    def __init__(  # noqa: PLR0913 - two that matter, and options
        self,
        root: str | Path,
        state_dir: Path,
        *,
        hide: Sequence[Path] = (),
        show: Sequence[Path] = (),
        isolate: bool = True,
        secrets: ReadSecrets = lambda _: {},
    ) -> None:
        """Nothing is made yet.

        Args:
            root: folder (or file:// URI) of the object store that the jobs use; exists.
            state_dir: this backend's own folder, on a disk of this host.
            hide: folders and files that jobs must not see, where namespaces are available.
            show: what they see all the same inside of those. The job's own study and Python are shown always.
            isolate: False runs jobs without namespaces even where they are available.
            secrets: asked for a request's secrets whenever a job is started, and only then. The values go into the
                environment of the job's processes and nowhere else; `submit` raises what this raises.

        Raises:
            InputError: the root is no folder: a local trial gets no credentials, so its files are staged.
        """
        folder = parse_uri(str(root))
        if not isinstance(folder, Path):
            raise InputError(f"{root}: local jobs need a folder; stage what lies on S3")
        self._root = folder.resolve()
        self._objects = FolderObjects(folder)
        self._state = state_dir.resolve()
        self._hide = tuple(hide)
        self._show = tuple(show)
        self._isolate = isolate
        self._secrets = secrets

    @property
    def isolated(self) -> bool:
        """Whether jobs run in namespaces of their own."""
        return self._isolate and sandbox.available()

    def submit(self, request: Request) -> None:
        key = _key(request.job)
        with plain_errors(self._state):
            lock = host_shares.try_lock(self._lock(request.job))
        if lock is None:
            return  # it runs, or another process is just submitting it
        try:
            if not self._is_known(key):
                self._start(request, key, lock)
        finally:
            os.close(lock)

    def poll(self, jobs: Sequence[str]) -> Mapping[str, JobStatus]:
        return {job: self._status(job) for job in jobs}

    def running(self) -> list[str]:
        """Names of the jobs that live on this host, whoever started them, in no order."""
        names = (folder.name for folder in (self._state / "jobs").glob("hpo-*"))
        return [name for name in names if self._is_alive(name)]

    def stop(self, job: str, *, grace_s: float) -> None:
        """As in `Backend`; the runner gets `REPORT_S` beyond the grace to write its report."""
        deadline = time.monotonic() + grace_s + REPORT_S
        while self._is_alive(job) and time.monotonic() < deadline:
            # Again and again: a runner that is only just starting does not hear the first one.
            _signal(self._runners(job), signal.SIGTERM)
            _wait(lambda: not self._is_alive(job), min(time.monotonic() + 0.5, deadline))
        deadline = time.monotonic() + KILL_PATIENCE_S
        while self._is_alive(job):
            if time.monotonic() > deadline:
                raise UnavailableError(f"job {job}: does not die; a process of it hangs in the kernel")
            for runner in self._runners(job):
                _signal([runner, *(each.pid for each in processes.descendants(runner))], signal.SIGKILL)
            _wait(lambda: not self._is_alive(job), time.monotonic() + 0.2)
        self._sweep(job)

    def log_tail(self, job: str) -> str:
        key = _key(job)
        with suppress(IntegrityError):  # the job has put something else there
            stored = self._objects.read(key.log, limit=_MAX_LOG_BYTES)
            if stored is not None:
                return last_lines(stored, MAX_LOG_TAIL_BYTES)
        return self._live_log(job) or self._runner_log(job)

    # Starting.

    def _start(self, request: Request, key: AttemptKey, lock: int) -> None:
        self._check_room()
        folder = self._folder(request.job)
        scratch = folder / "scratch"
        secrets = self._secrets(request.secrets) if request.secrets else {}
        cpus = (
            host_shares.take(self._state / "cpus", host_shares.processors(), request.threads)
            or host_shares.Share()
        )
        gpus, wait = self._gpus(request.gpus)
        try:
            with plain_errors(folder):
                scratch.mkdir(exist_ok=True)
                with (folder / "runner.log").open("ab") as log:
                    start_job(
                        self._parents,
                        modules_of(request),
                        self._order(
                            key, scratch, _environment(scratch, cpus.names, gpus.names, secrets), wait
                        ),
                        [log.fileno(), lock, *cpus.locks, *gpus.locks],
                    )
        finally:
            cpus.close()
            gpus.close()
        self._write_job(request)

    def _check_room(self) -> None:
        with plain_errors(self._state):
            free = free_bytes(self._state)
        if free < MIN_FREE_BYTES:
            raise UnavailableError(
                f"disk full at {self._state}: {free >> 20} MiB are free, a trial needs {MIN_FREE_BYTES >> 20} MiB to "
                "start: free some space"
            )

    def _order(
        self, key: AttemptKey, scratch: Path, env: dict[str, str], gpus: tuple[str, list[str], int] | None
    ) -> Order:
        uri = f"{self._objects.uri}/{key.request}"
        if not self._isolate:
            return Order(uri, env, hide=None, show=[], gpus=gpus)
        own = [self._root / study_prefix(key.trial.study), scratch]
        python = [Path(sys.prefix), Path(sys.base_prefix), Path(hpo_tasks.__file__).parent]
        devices = [self._state / name for name in ("jobs", "cpus", "gpus", "parents")]
        return Order(
            uri,
            env,
            hide=[str(path) for path in (*self._hide, *devices, self._root)],
            show=[str(path) for path in (*self._show, *own, *python)],
            gpus=gpus,
        )

    def _gpus(self, count: int) -> tuple[host_shares.Share, tuple[str, list[str], int] | None]:
        """Locked GPUs; if too few are free now, what the job's own process has to wait for."""
        if count == 0:
            return host_shares.Share(), None
        names, folder = host_shares.gpus(), self._state / "gpus"
        if count > len(names):
            raise RefusedError(
                f"trial.resources.gpus: the trial asks for {count}, this host has {len(names)}"
            )
        share = host_shares.take(folder, names, count)
        return (share, None) if share is not None else (host_shares.Share(), (str(folder), names, count))

    def _write_job(self, request: Request) -> None:
        hard_end = time.time() + request.timeout_s + 2 * request.grace_s + HARD_END_MARGIN_S
        document = canonical_json({"host": os.uname().nodename, "hard_end": hard_end})
        with plain_errors(self._state):
            temporary = self._folder(request.job) / "job.tmp"
            temporary.write_bytes(document)
            temporary.replace(temporary.with_name("job.json"))

    # Looking.

    def _status(self, job: str) -> JobStatus:
        if not self._is_alive(job):
            return self._dead(job)
        return JobStatus("running" if self._exists(_key(job).started) else "pending")

    def _is_alive(self, job: str) -> bool:
        """Whether a process of the job lives on this host."""
        if not self._lock(job).exists():
            return False
        # Shared, so that two that look at once do not take each other for the job.
        with plain_errors(self._state):
            lock = host_shares.try_lock(self._lock(job), shared=True)
        if lock is None:
            return True
        os.close(lock)
        return False

    def _dead(self, job: str) -> JobStatus:
        """What is known of a job that has no process here."""
        key = _key(job)
        if self._has_ended(key):
            remove_tree(self._folder(job))
            return JobStatus("ended")
        launched = self._read_job(job) or self._read_started(key)
        if launched is None:
            return JobStatus("unknown")
        host, hard_end = launched
        if host != os.uname().nodename:
            if time.time() < hard_end:
                raise UnavailableError(
                    f"job {job}: runs on host {host}, whose processes cannot be seen from here"
                )
            return JobStatus("ended", "infra", f"host {host} was lost")
        self._sweep(job)
        said = one_line(self._runner_log(job).rpartition("\n")[2], 200)
        return JobStatus("ended", "infra", f"the runner ended: {said}" if said else "the process is gone")

    def _is_known(self, key: AttemptKey) -> bool:
        """Whether the job was started before, here or elsewhere, whatever became of it."""
        return self._has_ended(key) or bool(self._read_job(key.job_name) or self._read_started(key))

    def _has_ended(self, key: AttemptKey) -> bool:
        return self._exists(key.report) or self._exists(key.trial.outcome)

    def _exists(self, key: str) -> bool:
        """Whether there is an object, whatever it is: a job may have put anything of any size in its place."""
        try:
            return self._objects.read(key, limit=0) is not None
        except IntegrityError:
            return True

    def _read_job(self, job: str) -> tuple[str, float] | None:
        """Host and hard end of a job that was started here; None if it was not."""
        try:
            found = json.loads((self._folder(job) / "job.json").read_bytes())
            return str(found["host"]), float(found["hard_end"])
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _read_started(self, key: AttemptKey) -> tuple[str, float] | None:
        """Host and hard end of the process that claimed the attempt; None if none did. The job can have changed it."""
        try:
            data = self._objects.read(key.started, limit=MAX_DOCUMENT_BYTES)
            if data is None:
                return None
            found = json.loads(data)
            begun = datetime.fromisoformat(found["time"]).timestamp()
            request = json.loads(self._objects.read(key.request, limit=MAX_DOCUMENT_BYTES) or b"")
            limits = float(request["timeout_s"]) + 2 * float(request["grace_s"])
            return str(found["host"]), begun + limits + HARD_END_MARGIN_S
        except (IntegrityError, ValueError, TypeError, KeyError, RecursionError):
            return os.uname().nodename, 0.0

    def _runners(self, job: str) -> list[int]:
        """The runner's process: of those that have the lock open, the one that has no child among them."""
        have = set(processes.holders(self._lock(job))) - {os.getpid(), *parents(self._parents)}
        everything = processes.running()
        forked = {everything[pid].parent for pid in have if pid in everything}
        return [pid for pid in have if pid in everything and pid not in forked]

    def _sweep(self, job: str) -> None:
        """Kill what a job without namespaces left behind when its runner was killed; remove its scratch folder."""
        processes.kill_all(lambda: processes.with_variable("HPO_JOB", job), patience_s=KILL_PATIENCE_S)
        remove_tree(self._folder(job) / "scratch")

    # Logs and paths.

    def _live_log(self, job: str) -> str:
        scratch = self._folder(job) / "scratch"
        if not scratch.is_dir():
            return ""
        # Never through a link: this process sees more than the job, which owns the folder.
        own = FolderObjects(scratch)
        for attempt in scratch.iterdir():
            try:
                data = own.read(f"{attempt.name}/{LIVE_LOG}", limit=_MAX_LOG_BYTES)
            except (InputError, IntegrityError, RefusedError):
                continue
            if data is not None:
                return last_lines(data, MAX_LOG_TAIL_BYTES)
        return ""

    def _runner_log(self, job: str) -> str:
        try:
            data = (self._folder(job) / "runner.log").read_bytes()
        except OSError:
            return ""
        return last_lines(data.rstrip(), MAX_LOG_TAIL_BYTES)

    @property
    def _parents(self) -> Path:
        return self._state / "parents"

    def _folder(self, job: str) -> Path:
        return self._state / "jobs" / _key(job).job_name  # checked: a name is never a path

    def _lock(self, job: str) -> Path:
        return self._folder(job) / "job.lock"


def modules_of(request: Request) -> list[str]:
    """What the trial parent of this request's job has loaded: what the study names, and a built-in trainer's own."""
    return [*request.preload, *MODULES.get(request.program.get("trainer", ""), ())]


def _key(job: str) -> AttemptKey:
    try:
        return AttemptKey.of_job(job)
    except ValueError as error:
        raise RefusedError(f"local backend: {error}") from None


def _environment(
    scratch: Path, cpus: Sequence[str], gpus: Sequence[str], secrets: Mapping[str, str]
) -> dict[str, str]:
    """All variables of the runner. Nothing of ours: the user's program can read them."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    variables = {"PATH": path, "HPO_SCRATCH": str(scratch), "CUDA_VISIBLE_DEVICES": ",".join(gpus)}
    variables |= {SECRET_PREFIX + name: value for name, value in secrets.items()}
    return variables | ({"HPO_CPUS": ",".join(cpus)} if cpus else {})


def _signal(pids: Sequence[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _wait(condition: Callable[[], bool], deadline: float) -> None:
    """Wait until the condition holds, or the deadline of the monotonic clock has passed."""
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
