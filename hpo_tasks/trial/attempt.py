"""One attempt inside its scratch folder: prepare, run the user's program, judge, keep what it left."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from hpo_tasks.errors import HpoError, InputError
from hpo_tasks.trial import artifacts, call, layout
from hpo_tasks.trial.capped_log import CappedLog
from hpo_tasks.trial.command_line import render_command
from hpo_tasks.trial.contract import (
    HAS_VALUES,
    MAX_LOG_TAIL_BYTES,
    Outcome,
    Request,
    canonical_json,
    params_sha256,
)
from hpo_tasks.trial.environment import handed_secrets, program_environment
from hpo_tasks.trial.inputs import fetch_inputs
from hpo_tasks.trial.layout import AttemptKey
from hpo_tasks.trial.local_files import free_bytes, plain_errors
from hpo_tasks.trial.metrics import MAX_LINE_BYTES, Reports
from hpo_tasks.trial.objects import Objects
from hpo_tasks.trial.openat import open_regular
from hpo_tasks.trial.patterns import OutputPatterns
from hpo_tasks.trial.printable import last_lines, one_line
from hpo_tasks.trial.program import Program
from hpo_tasks.trial.redaction import RedactedStream, Redactor
from hpo_tasks.trial.signals import Signals
from hpo_tasks.trial.stop_watch import StopWatch
from hpo_tasks.trial.verdict import Ending, Verdict, judge
from hpo_tasks.trial.workspace import Workspace

MAX_METRICS_BYTES = 64 << 20
LIVE_LOG_S = 1.0
MAX_ERROR_CHARS = 300
MAX_ERROR_BYTES = 16 << 10
FULL_BYTES = 1 << 20


@dataclass(slots=True)
class Attempt:
    """One attempt; `run` it once.

    Attributes:
        objects, key, request: where it lies, and what it is to do.
        space: its scratch folder, still empty.
        signals: of this process.
    """

    objects: Objects
    key: AttemptKey
    request: Request
    space: Workspace
    signals: Signals
    _secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    _redactor: Redactor = field(default_factory=Redactor)
    _output: RedactedStream = field(default_factory=lambda: Redactor().stream())
    _log: CappedLog = field(default_factory=CappedLog)
    _reports: Reports = field(default_factory=Reports)
    _patterns: OutputPatterns | None = None
    _restored: int | None = None
    _shown_bytes: int = 0
    _show_again: float = 0.0

    def run(self) -> Outcome:
        """Run the program, upload what it leaves, and return what is to be written as outcome or report.

        Raises:
            UnavailableError, RefusedError: the object store, when there is something to upload.
        """
        started_at, started = datetime.now(UTC), time.monotonic()
        ending, verdict = self._train()
        verdict, kept = self._keep(verdict)
        request = self.request
        return Outcome(
            study=request.study, round=request.round, slot=request.slot, attempt=request.attempt,
            cls=verdict.cls, reason=self._redactor.text(verdict.reason), values=verdict.values, metrics=verdict.metrics,
            spec_digest=request.spec_digest, params_sha256=params_sha256(request.params), attempts=request.attempt,
            started_at=started_at.isoformat(timespec="milliseconds"),
            ended_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            duration_s=round(time.monotonic() - started, 3),
            exit_code=ending.exit_code, peak_memory_bytes=ending.peak_bytes, log_tail=self._log_tail(),
            artifacts=tuple(kept), provenance=self._provenance(),
        )  # fmt: skip

    def _train(self) -> tuple[Ending, Verdict]:
        """Prepare the scratch folder, run the program, classify how it ended."""
        request = self.request
        try:
            self._take_secrets()
            self.space.prepare(request, self.objects)
            inputs = fetch_inputs(request.inputs, self.space.root / "inputs")
            self.request = replace(request, inputs=inputs)
            self._restored = artifacts.restore_checkpoint(
                self.objects, self.key, self.space.places.checkpoint
            )
            if request.metrics:
                self._patterns = OutputPatterns(request.metrics, self._reports)
            ending = self._run_program()
            self._read_metrics()
        except InputError as error:  # the user's to put right
            ending = Ending(None, start_error=str(error))
        except HpoError as error:  # a damaged object, a full disk, a store that is away
            return Ending(None), Verdict("infra", str(error))
        verdict = judge(ending, self._reports, objectives=request.objectives, thresholds=request.thresholds)
        if verdict.cls == "user_error" and ending.exit_code and self._is_disk_full():
            return ending, Verdict("infra", f"disk full on the trial's host ({verdict.reason})")
        return ending, verdict

    def _is_disk_full(self) -> bool:
        """Whether nothing more fits into the scratch folder: evidence that the program failed for want of space."""
        with suppress(OSError):
            return free_bytes(self.space.root) < FULL_BYTES
        return False

    def _take_secrets(self) -> None:
        """Read the secrets' values; from now on they are kept out of all that the program says."""
        request = self.request
        self._secrets = handed_secrets(request.secrets, os.environ)
        self._redactor = Redactor(self._secrets.values())
        self._output = self._redactor.stream()
        self._reports.redact = self._redactor.text
        self._reports.asked_for = {*request.objectives, *request.thresholds}

    def _run_program(self) -> Ending:
        """Start and watch the program; afterwards nothing of it is alive."""
        request, places = self.request, self.space.places
        stop = StopWatch(self.objects, [self.key.trial.stop, layout.study_stop_key(request.study)])
        environ = os.environ
        program = Program(
            argv=self._argv(),
            function=self._function(),
            threads=request.threads,
            env=program_environment(
                request, places,
                path=environ.get("PATH", os.defpath), gpus=environ.get("CUDA_VISIBLE_DEVICES", ""),
                secrets=self._secrets,
            ),
            folder=places.work,
            timeout_s=request.timeout_s, grace_s=request.grace_s, memory_bytes=request.memory_bytes,
            signals=self.signals,
            stop_reason=lambda: stop.reason,
            on_start=stop.start, on_output=self._take_output, on_ask=self._ask_to_stop, on_tick=self._show_live_log,
        )  # fmt: skip
        try:
            ending = program.run()
        finally:
            stop.end()
        self._log.write(self._output.finish())
        if self._patterns is not None:
            self._patterns.finish()
        return replace(ending, message=self._call_error())

    def _function(self) -> Callable[[], int] | None:
        """What a process forked from this one does, if there is no command: nothing it leaves can outlive process 1."""
        if "command" in self.request.program or os.getpid() != 1:
            return None
        return partial(call.main, self.space.call)

    def _argv(self) -> list[str]:
        """The command; for a Python callable or a trainer, our own program that calls it."""
        program = self.request.program
        if "command" in program:
            return render_command(program["command"], self.request.params)
        call = {**program, "objectives": self.request.objectives, "inputs": self.request.inputs}
        with plain_errors(self.space.call):
            self.space.call.write_bytes(canonical_json(call))
        # -P: the working directory comes first only when the user's own module is imported, see call.py.
        return [sys.executable, "-P", "-m", "hpo_tasks.trial.call", str(self.space.call)]

    def _take_output(self, piece: bytes) -> None:
        self._log.write(self._output.feed(piece))
        if self._patterns is not None:
            self._patterns.feed(piece)

    def _ask_to_stop(self) -> None:
        with suppress(OSError):  # the program removed the folder: it gets SIGTERM all the same
            self.space.places.stop.touch()

    def _show_live_log(self) -> None:
        """Let whoever is on this host see the last lines while the program runs."""
        now = time.monotonic()
        if now < self._show_again or self._log.size == self._shown_bytes:
            return
        self._show_again, self._shown_bytes = now + LIVE_LOG_S, self._log.size
        with suppress(OSError):  # a full disk must not end the trial for the sake of a convenience
            temporary = self.space.live_log.with_suffix(".tmp")
            temporary.write_text(self._log_tail(), encoding="utf-8")
            temporary.replace(self.space.live_log)

    def _log_tail(self) -> str:
        return last_lines(self._log.last(MAX_LOG_TAIL_BYTES + 1), MAX_LOG_TAIL_BYTES)

    def _read_metrics(self) -> None:
        """Take in what the program wrote to $HPO_METRICS."""
        for number, line in enumerate(_lines(self.space.places.metrics)):
            self._reports.add_line(line.removeprefix(b"\xef\xbb\xbf") if number == 0 else line)

    def _call_error(self) -> str:
        """What a Python callable raised, if it did; the file is the program's, so anything may be in it."""
        with suppress(OSError), open_regular(self.space.call_error) as file:
            redacted = self._redactor.stream()  # where the file is cut, half a value may be left
            message = redacted.feed(file.read(MAX_ERROR_BYTES)) + redacted.finish()
            return one_line(message.decode(errors="replace"), MAX_ERROR_CHARS)
        return ""

    def _keep(self, verdict: Verdict) -> tuple[Verdict, list[dict[str, Any]]]:
        """Upload checkpoint, model, reports and log. Returns the verdict again, and the list of artifacts."""
        kept: list[dict[str, Any]] = []
        try:
            artifacts.upload_checkpoint(self.objects, self.key, self.space.places.checkpoint)
        except InputError as error:
            remark = self._redactor.text(f"\n[{error}; the checkpoint is not kept]\n")
            self._log.write(remark.encode())
        if verdict.cls in HAS_VALUES or verdict.cls == "stopped":
            own = self.space.model_dir(self.request)
            folders = [self.space.places.model, *([own] if own else [])]
            try:
                kept += artifacts.upload_model(self.objects, self.key, folders)
            except InputError as error:
                verdict = Verdict("user_error", str(error), metrics={**verdict.metrics, **verdict.values})
        outbox = self.space.new_folder(
            "outbox"
        )  # after the program's death, so that it holds only what we put there
        for key, pieces in ((self.key.reports, self._reports.pieces()), (self.key.log, self._log.pieces())):
            file = outbox / Path(key).name
            if _write(file, pieces):
                kept.append(artifacts.upload_file(self.objects, self.key, key, file))
        return verdict, kept

    def _provenance(self) -> dict[str, str]:
        code = self.request.code
        return {
            "seed": str(self.request.seed),
            "host": os.uname().nodename,
            "python": sys.version.split()[0],
            **({"code_sha256": code["sha256"]} if code else {}),
            **({"checkpoint_of_attempt": str(self._restored)} if self._restored else {}),
        }


def _lines(file: Path) -> Iterator[bytes]:
    """The lines of a file that a program wrote, the last one also without a line end. None if it is no file any more.

    Raises:
        InputError: the file is too large.
    """
    with suppress(OSError), open_regular(file) as lines:
        if os.fstat(lines.fileno()).st_size > MAX_METRICS_BYTES:
            raise InputError(f"$HPO_METRICS: more than {MAX_METRICS_BYTES >> 20} MiB; report less often")
        while line := lines.readline(MAX_LINE_BYTES + 1):
            yield line
            while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
                line = lines.readline(MAX_LINE_BYTES + 1)


def _write(file: Path, pieces: Iterator[bytes]) -> bool:
    """Write the pieces to a new file; False if there was nothing to write."""
    with plain_errors(file), file.open("xb") as output:
        for piece in pieces:
            output.write(piece)
        return output.tell() > 0
