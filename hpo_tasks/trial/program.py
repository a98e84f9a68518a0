"""Runs the user's program: starts it, takes its output, holds it to its limits, and leaves nothing of it alive."""

import fcntl
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from hpo_tasks.trial import processes
from hpo_tasks.trial.escalation import Escalation, Push
from hpo_tasks.trial.forked import Forked, fork
from hpo_tasks.trial.signals import Signals
from hpo_tasks.trial.verdict import Ending

SAMPLE_S = 0.2
KILL_PATIENCE_S = 10.0
_READ_BYTES = 1 << 16
_PIPE_BYTES = 1 << 20
_CGROUP_EVENTS = Path("/sys/fs/cgroup/memory.events")


@dataclass(slots=True)
class Program:
    """One run of a program.

    Attributes:
        argv, env, folder: what to start, with which environment, and where.
        function: to be forked instead of starting `argv`, with `threads` for the libraries that are loaded already.
        timeout_s, grace_s, memory_bytes: limits, as in the request.
        signals: of this process.
        stop_reason: says why the trial is asked to stop, None as long as it is not.
        on_start: called once it has started.
        on_output: gets each piece of standard output and error, in order.
        on_ask: called when the program is asked to end: makes $HPO_STOP appear.
        on_tick: called about every `SAMPLE_S` while it runs.
    """

    argv: Sequence[str]
    env: dict[str, str]
    folder: Path
    timeout_s: float
    grace_s: float
    memory_bytes: int | None
    signals: Signals
    stop_reason: Callable[[], str | None]
    on_start: Callable[[], None]
    on_output: Callable[[bytes], None]
    on_ask: Callable[[], None]
    on_tick: Callable[[], None] = lambda: None
    function: Callable[[], int] | None = None
    threads: int = 1
    _peak_bytes: int = 0
    _resident_bytes: int = 0
    _next_sample: float = field(default=0.0)

    def run(self) -> Ending:
        """Run it to its end. Afterwards no process that it started is alive."""
        processes.adopt_orphans()
        oom_kills = _kernel_oom_kills()
        read_end, write_end = os.pipe()
        with suppress(OSError, AttributeError):  # more than the system allows; not Linux
            fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        os.set_blocking(read_end, False)
        try:
            child = self._start(write_end)
        except (OSError, ValueError) as error:
            os.close(read_end)
            return Ending(None, start_error=_start_error(error, self.argv[0]))
        finally:
            os.close(write_end)
        escalation = Escalation(self.timeout_s, self.grace_s, self.memory_bytes, time.monotonic())
        try:
            self.on_start()
            self._watch(child, escalation, read_end)
        finally:
            self._kill_everything(child)
            self._take_output(read_end, until_empty=True)
            os.close(read_end)
        # A short program ends before the first sample; the kernel knows the largest process that was waited for.
        peak = max(self._peak_bytes, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _MAXRSS_UNIT)
        return Ending(
            exit_code=child.returncode,
            cause=escalation.cause,
            because=self._because(escalation),
            kernel_oom_kills=_kernel_oom_kills() - oom_kills,
            peak_bytes=peak,
        )

    def _start(self, output: int) -> "subprocess.Popen[bytes] | Forked":
        if self.function is not None:
            return fork(self.function, env=self.env, folder=self.folder, output=output, threads=self.threads)
        return subprocess.Popen(
            [element.encode() for element in self.argv],
            env={name.encode(): value.encode() for name, value in self.env.items()},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            # No thread of ours runs yet, so the function between fork and exec is safe. PID 1 takes all with it.
            preexec_fn=None if os.getpid() == 1 else processes.die_with_parent,  # noqa: PLW1509
        )

    def _watch(self, child: "subprocess.Popen[bytes] | Forked", escalation: Escalation, output: int) -> None:
        """Until the program itself has ended."""
        waiting = [output, self.signals.wakeup]
        while True:
            self.signals.drain()
            _reap(child)
            if child.returncode is not None:
                return
            now = time.monotonic()
            self._sample(now)
            push = escalation.next_push(
                now,
                resident_bytes=self._resident_bytes,
                stop=self.stop_reason() is not None,
                terminated=self.signals.terminated,
            )
            self._push(child, push)
            until = min(self._next_sample, escalation.next_moment())
            ready, _, _ = select.select(waiting, [], [], max(0.0, until - now))
            if output in ready and not self._take_output(output, until_empty=False):
                waiting.remove(output)  # every writer has closed it

    def _sample(self, now: float) -> None:
        if now < self._next_sample:
            return
        self._next_sample = now + SAMPLE_S
        self._resident_bytes = sum(each.resident_bytes for each in processes.descendants(os.getpid()))
        self._peak_bytes = max(self._peak_bytes, self._resident_bytes)
        self.on_tick()

    def _push(self, child: "subprocess.Popen[bytes] | Forked", push: Push) -> None:
        if push in (Push.ASK, Push.TERM):
            self.on_ask()
        if push is Push.TERM:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
        if push is Push.KILL:
            self._kill_everything(child)

    def _kill_everything(self, child: "subprocess.Popen[bytes] | Forked") -> None:
        if child.returncode is None:
            with suppress(ProcessLookupError):  # also where there is no /proc
                os.killpg(child.pid, signal.SIGKILL)
        processes.kill_descendants(patience_s=KILL_PATIENCE_S, reap=lambda: _reap(child))
        if child.returncode is None:
            _reap(child, wait=True)
        _reap(child)

    def _take_output(self, output: int, *, until_empty: bool) -> bool:
        """Hand on what the pipe holds, one piece or all. False: there will be no more."""
        while True:
            try:
                piece = os.read(output, _READ_BYTES)
            except BlockingIOError:
                return True
            if not piece:
                return False
            self.on_output(piece)
            if not until_empty:
                return True

    def _because(self, escalation: Escalation) -> str:
        match escalation.cause:
            case "oom":
                used, limit = _size(self._peak_bytes), _size(self.memory_bytes or 0)
                return f"{used} resident memory, more than the limit of {limit}"
            case "timeout":
                return f"ran longer than {self.timeout_s:g} s"
            case "stopped":
                return self.stop_reason() or ""
            case "interrupted":
                return "the job was told to end (SIGTERM)"
            case None:
                return ""


_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


def _reap(child: "subprocess.Popen[bytes] | Forked", *, wait: bool = False) -> None:
    """Take the exit status of the child, and of orphans that became ours, if there are any."""
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(child.pid if wait else -1, 0 if wait else os.WNOHANG)
            if pid == 0:
                return
            if pid == child.pid:
                child.returncode = os.waitstatus_to_exitcode(status)
                if wait:
                    return


def _start_error(error: OSError | ValueError, program: str) -> str:
    shown = program[:100]
    if isinstance(error, FileNotFoundError):
        return f"cannot start {shown}: not found (or the interpreter that its first line names is not)"
    if isinstance(error, PermissionError):
        return f"cannot start {shown}: no permission to execute it (chmod +x)"
    if isinstance(error, OSError) and error.strerror == "Exec format error":
        return f"cannot start {shown}: not a program of this machine, or a script without a first line #!…"
    return f"cannot start {shown}: {getattr(error, 'strerror', None) or error}"


def _kernel_oom_kills() -> int:
    """How often the kernel killed in this control group for want of memory; 0 where that cannot be read."""
    with suppress(OSError, ValueError):
        for line in _CGROUP_EVENTS.read_text().splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return 0


def _size(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MiB"
