"""A trial on a cloud: its backend with Airflow's clients, and what its task hands to the trigger that awaits the job."""

import json
import logging
import re
from dataclasses import dataclass
from typing import Any, TypedDict

from hpo_tasks.backends import batch_preflight
from hpo_tasks.backends.base import Backend
from hpo_tasks.backends.batch import DEPLOYMENT, BatchBackend
from hpo_tasks.backends.handles import Handle
from hpo_tasks.errors import IntegrityError, Problem
from hpo_tasks.flow.aws import backend_client
from hpo_tasks.flow.steps import attempts
from hpo_tasks.flow.steps.batch import RoundBatch
from hpo_tasks.flow.steps.clock import Moment
from hpo_tasks.flow.steps.run import OpenStudy
from hpo_tasks.flow.steps.train import TrialRun
from hpo_tasks.spec import model
from hpo_tasks.store.base import Store
from hpo_tasks.trial import layout
from hpo_tasks.trial.contract import Request

MAX_HANDLE_BYTES = 4096
MAX_TAG_CHARS = 256
_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9 _.:/=+@-]")

log = logging.getLogger(__name__)


class Awaited(TypedDict):
    """A job whose end a trigger awaits. Plain values: Airflow stores them.

    Attributes:
        backend: the study's `backend`, as in its file.
        job, handle: its name, and the backend's id of it.
        ends_at_s: when the job is over in any case; seconds since the epoch.
        deadline: of the study: three numbers of a `Moment`; None if it has none, or if the job knows it has come.
    """

    backend: dict[str, Any]
    job: str
    handle: str
    ends_at_s: float
    deadline: list[Any] | None


@dataclass(frozen=True, slots=True)
class StoredHandles:
    """Implements `Handles` in the object store, outside of what jobs may write.

    Attributes:
        clears: `max_tries` of the task instance that submits: Airflow raises it when the task is cleared, and only then.
    """

    store: Store
    clears: int = 0

    def get(self, job: str) -> Handle | None:
        """Raises IntegrityError: what lies there is no handle."""
        document = self._read(job)
        return None if document is None else Handle(str(document["id"]), float(document["ends_at_s"]))

    def _read(self, job: str) -> dict[str, Any] | None:
        key = layout.handle_key(job)
        data = self.store.read(key, limit=MAX_HANDLE_BYTES)
        if data is None:
            return None
        try:
            document: dict[str, Any] = json.loads(data)
            float(document["ends_at_s"]), str(document["id"]), int(document["clears"])
        except (ValueError, KeyError, TypeError):
            raise IntegrityError(
                f"{key}: is no handle of a job: delete it, and clear the train task"
            ) from None
        return document

    def keep(self, job: str, handle: Handle) -> None:
        self.store.create(layout.handle_key(job), self._document(handle))

    def replace(self, job: str, handle: Handle) -> None:
        self.store.write(layout.handle_key(job), self._document(handle))

    def _document(self, handle: Handle) -> bytes:
        return json.dumps({"id": handle.id, "ends_at_s": handle.ends_at_s, "clears": self.clears}).encode()

    def was_cleared_since(self, job: str) -> bool:
        """Whether the task was cleared after it had submitted this job."""
        document = self._read(job)
        return document is not None and int(document.get("clears", 0)) < self.clears


def open_backend(study: OpenStudy, options: model.BatchBackend, *, clears: int = 0) -> Backend:
    """The study's backend.

    Args:
        study: the study.
        options: its `backend`.
        clears: as in `StoredHandles`.

    Raises:
        InputError, RefusedError, UnavailableError: as `aws.client`.
    """
    return BatchBackend(
        backend_client("batch", options.connection, options.region),
        options,
        store=study.store.uri,
        handles=StoredHandles(study.store, clears),
        tags=tags_of(study),
    )


def preflight(spec: model.StudySpec) -> list[Problem]:
    """What would keep the study's jobs from running. Raises: as `open_backend`."""
    options = spec.backend
    if not isinstance(options, model.BatchBackend):
        return []
    client = backend_client("batch", options.connection, options.region)
    return batch_preflight.preflight(client, options, spec.trial.resources)


def open_trial(study: OpenStudy, batch: RoundBatch, slot: int, backend: Backend) -> TrialRun:
    """The trial at (round, slot), ready to be trained there."""
    return TrialRun(
        study=study,
        batch=batch,
        slot=slot,
        backend=backend,
        inputs=study.pin.inputs,
        threads=study.pin.spec.trial.resources.threads,
    )


def end_if_cleared(trial: TrialRun, clears: int) -> None:
    """End the job of a trial whose task was cleared while a trigger awaited the job: then nobody was there to do it.

    The triggerer is told too, but only after the cleared task may have come here. Whoever cleared the task wants the trial
    trained again; whoever lost a worker does not.
    """
    newest = attempts.newest_attempt(trial.study.store, trial.request(1))
    if newest.number and newest.report is None:
        job = trial.request(newest.number).job
        if StoredHandles(trial.study.store, clears).was_cleared_since(job):
            log.info("the task was cleared: job %s is ended", job)
            trial.end_job()


def awaited(study: OpenStudy, request: Request, deadline: Moment | None) -> Awaited:
    """What a trigger needs to know of a job.

    Args:
        study: its study.
        request: of the attempt whose job runs.
        deadline: of the study's wall clock; None if it has none, or if the job was told.
    """
    handle = StoredHandles(study.store).get(request.job)
    if handle is None:
        raise IntegrityError(f"{layout.handle_key(request.job)}: was deleted: clear the train task")
    return Awaited(
        backend=study.pin.spec.backend.model_dump(mode="json", by_alias=True),
        job=request.job,
        handle=handle.id,
        ends_at_s=handle.ends_at_s,
        deadline=None if deadline is None else [deadline.unix_s, deadline.boot, deadline.up_s],
    )


def tags_of(study: OpenStudy) -> dict[str, str]:
    """Tags of every resource of a study: the file's own, and those that the reaper goes by."""
    spec, pin = study.pin.spec, study.pin
    own = {DEPLOYMENT: study.deployment.name, "hpo:study": pin.study, "hpo:dag": pin.dag_id}
    return {**spec.tags, **({"owner": tag_text(spec.owner)} if spec.owner else {}), **own}


def tag_text(text: str) -> str:
    """A text as AWS takes it for a tag."""
    return _NOT_IN_TAGS.sub("_", text)[:MAX_TAG_CHARS]
