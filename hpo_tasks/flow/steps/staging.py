"""A folder on this host that stands in for an S3 store, so that local trials need no credentials.

The train task copies in what a job reads (request, checkpoint, code) and copies out what it wrote, the outcome last.
A job can be seen on its own host alone. So an attempt belongs to the host that launched it, and a task that goes on
elsewhere launches another one: two jobs that wrote into the same attempt would mix their models.
"""

import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hpo_tasks.errors import IntegrityError
from hpo_tasks.flow.steps.attempts import MAX_OUTCOME_BYTES, request_key
from hpo_tasks.store.base import Store
from hpo_tasks.trial import layout
from hpo_tasks.trial.contract import Request, canonical_json
from hpo_tasks.trial.layout import SlotKey
from hpo_tasks.trial.local_files import plain_errors


@dataclass(frozen=True, slots=True)
class Staging:
    """Copies between the study's store and the local folder store of this host."""

    store: Store
    local: Store
    host: str = field(default_factory=lambda: os.uname().nodename)

    def claim(self, request: Request) -> None:
        """Note that this host launches the attempt, unless another one has done so."""
        self.store.create(request_key(request).host, canonical_json({"host": self.host}))

    def elsewhere(self, request: Request) -> str | None:
        """The other host that launched the attempt, whose job cannot be seen from here; None if there is none."""
        data = self.store.read(request_key(request).host)
        host = None if data is None else str(json.loads(data)["host"])
        return None if host == self.host else host

    def send(self, request: Request) -> None:
        """Copy in what the job of this attempt reads."""
        key = request_key(request)
        wanted = [key.request, *self.store.list(key.trial.checkpoint)]
        if request.code is not None:
            wanted.append(request.code["archive"])
        for name in wanted:
            _copy(self.store, self.local, name)

    def forward_stop(self, request: Request) -> None:
        """Hand a stop request for the trial or the whole study to the running job."""
        slot = SlotKey(request.study, request.round, request.slot)
        for name in (slot.stop, layout.study_stop_key(request.study)):
            if (data := self.store.read(name)) is not None:
                self.local.create(name, data)

    def collect(self, request: Request) -> None:
        """Copy out what the dead job left, artifacts first, its report or outcome last; then remove it here."""
        key = request_key(request)
        left = [*self.local.list(str(key)), *self.local.list(key.trial.checkpoint)]
        for name in left:
            if name not in (key.request, key.report):
                _copy(self.local, self.store, name)
        for name in (key.report, key.trial.outcome):
            if (data := _read_marker(self.local, name)) is not None:
                self.store.create(name, data)
        self.local.delete([*left, key.report, key.trial.outcome, key.trial.stop])


def _read_marker(local: Store, name: str) -> bytes | None:
    """A report or outcome; b"", which is neither, for anything else that a hostile job put in its place."""
    try:
        return local.read(name, limit=MAX_OUTCOME_BYTES)
    except IntegrityError:
        return b""


def _copy(source: Store, target: Store, name: str) -> None:
    temporary = Path(tempfile.gettempdir())
    with plain_errors(temporary), tempfile.TemporaryDirectory(prefix="hpo-staging-", dir=temporary) as folder:
        path = Path(folder) / "object"
        if source.download(name, path):
            target.upload(name, path)
