"""Requests of trials as the control plane writes them, for tests of the runner and of the backends."""

import hashlib
import os
import signal
import stat
import subprocess
import sys
import tarfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hpo_tasks.trial.contract import Outcome, Request, decode_outcome, encode_request
from hpo_tasks.trial.folder_objects import FolderObjects
from hpo_tasks.trial.layout import AttemptKey, SlotKey

DEADLINE_S = 30.0


def until(condition: Callable[[], Any], what: str = "") -> Any:
    """Wait until the condition is true, and return what it said; fail after `DEADLINE_S`."""
    deadline = time.monotonic() + DEADLINE_S
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {DEADLINE_S:g} s: {what or condition}")
        time.sleep(0.01)
    return found


def marked(marker: str) -> list[int]:
    """Processes alive that carry the marker somewhere in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if marker.encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def holding(folder: Path, text: str) -> list[Path]:
    """What below the folder holds the text, in its content or its name."""
    return [path for path in folder.rglob("*") if text in path.name or text.encode() in _content(path)]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes() if path.is_file() else b""
    except FileNotFoundError:  # a running trial's: gone meanwhile
        return b""


class Study:
    """A folder store with one study in it; makes requests and reads what came of them.

    Attributes:
        marker: in the environment of every program of this study, for `marked`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "store"
        self.root.mkdir()
        self.objects = FolderObjects(self.root)
        self.id = "s" + uuid.uuid4().hex[:20]
        self.marker = uuid.uuid4().hex
        self.code = folder / "code"
        self.code.mkdir()
        self._runners: list[subprocess.Popen[str]] = []

    def program(self, name: str, text: str) -> str:
        """Put an executable text file among the study's code; the argv element that starts it."""
        file = self.code / name
        file.write_text(text)
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        return f"./{name}"

    def request(self, program: Any = None, *, slot: int = 0, attempt: int = 1, **fields: Any) -> Request:
        """Write a request: `program` is an argv list, `module:callable`, or a whole program object."""
        if isinstance(program, list):
            program = {"command": program}
        elif isinstance(program, str):
            program = {"entry_point": program}
        code = None
        if any(self.code.iterdir()):
            archive = self.folder / "code.tar.gz"
            with tarfile.open(archive, "w:gz") as tar:
                tar.add(self.code, arcname=".")
            digest = hashlib.sha256(archive.read_bytes()).hexdigest()
            code = {"archive": f"studies/{self.id}/code-{digest[:8]}.tar.gz", "sha256": digest}
            self.objects.upload(code["archive"], archive)
        key = SlotKey(self.id, 0, slot).attempt(attempt)
        request = Request(
            **{
                "study": self.id,
                "round": 0,
                "slot": slot,
                "attempt": attempt,
                "job": key.job_name,
                "spec_digest": "0" * 64,
                "params": {},
                "seed": 7,
                "objectives": ("loss",),
                "program": program,
                "code": code,
                "grace_s": 1.0,
                "timeout_s": 60.0,
                **fields,
                "env": {"TEST_MARKER": self.marker, **fields.get("env", {})},
            }
        )
        self.objects.create(key.request, encode_request(request))
        return request

    def key(self, request: Request) -> AttemptKey:
        return AttemptKey.of_job(request.job)

    def uri(self, request: Request) -> str:
        return f"{self.objects.uri}/{self.key(request).request}"

    def start(self, request: Request, **environ: str) -> "subprocess.Popen[str]":
        """Start the runner as a plain process, as a container would."""
        scratch = self.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        runner = subprocess.Popen(
            [sys.executable, "-P", "-m", "hpo_tasks.trial", self.uri(request)],
            env={"PATH": os.environ["PATH"], "HPO_SCRATCH": str(scratch), **environ},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._runners.append(runner)
        return runner

    def end(self) -> None:
        """After a test: whatever it was, nothing of it goes on."""
        for runner in self._runners:
            runner.kill()
            runner.communicate()
        for pid in marked(self.marker):
            os.kill(pid, signal.SIGKILL)

    def run(self, program: Any = None, **fields: Any) -> Outcome:
        """Request, run to the end, and return the outcome or report. Nothing may be left of it."""
        request = self.request(program, **fields)
        runner = self.start(request)
        _, errors = runner.communicate(timeout=DEADLINE_S)
        assert (runner.returncode, errors) == (0, "")
        assert marked(self.marker) == []
        assert list((self.folder / "scratch").iterdir()) == []
        return self.outcome(request)

    def outcome(self, request: Request) -> Outcome:
        found = self.find(request)
        assert found is not None
        return found

    def find(self, request: Request) -> Outcome | None:
        """The trial's outcome, else the attempt's report, else None."""
        key = self.key(request)
        data = self.objects.read(key.trial.outcome) or self.objects.read(key.report)
        return decode_outcome(data) if data else None
