"""Train one trial: launch attempts until its outcome is committed. Repeatable after a kill at any point."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hpo_tasks.backends.base import Backend, JobStatus
from hpo_tasks.errors import UnavailableError
from hpo_tasks.flow.steps import attempts
from hpo_tasks.flow.steps.batch import RoundBatch
from hpo_tasks.flow.steps.clock import Moment
from hpo_tasks.flow.steps.run import OpenStudy
from hpo_tasks.flow.steps.staging import Staging
from hpo_tasks.spec import StudySpec
from hpo_tasks.study.attempts import AttemptView, Decide, Forgo, Launch, Report, Step, Wait, next_step
from hpo_tasks.trial import layout
from hpo_tasks.trial.contract import Outcome, Request, encode_request

log = logging.getLogger(__name__)

POLL_S = 0.05
FIRST_POLL_S = 0.01
"""Trials may last a few milliseconds: the pauses grow from this to `POLL_S`."""
POLLS_A_LOOK = 40
"""Polls of the job between two looks at the store: each look is a handful of reads, and on S3 of requests that are paid
for. As soon as the job has ended there is one: what it left must not be lost with this host."""
KILL_GRACE_S = 3.0
"""Short: Airflow kills a task 5 s after it has told it to stop."""


@dataclass
class TrialRun:
    """One trial on its way to an outcome.

    Attributes:
        study, batch, slot: which trial.
        backend: where its attempts run.
        inputs: input name → URI or path, as pinned.
        threads: threads of one trial, already a positive number.
        staging: the folder that stands in for the object store on this host, None if jobs use the store itself.
        bring: from the inputs to where the job finds them. Called for a launch alone: it may copy gigabytes, and what
            is recorded must be readable when they are gone.
        clock, sleep: the time, and waiting; tests put their own here.
        stop_requested: set by `request_stop`: the task process is to end.
        wall_clock_is_over: somebody else whose clock is ahead of this host's says so.
        was_asked_to_stop: whether the job knows that the wall clock is used up.
    """

    study: OpenStudy
    batch: RoundBatch
    slot: int
    backend: Backend
    inputs: Mapping[str, str]
    threads: int
    staging: Staging | None = None
    bring: Callable[[Mapping[str, str]], Mapping[str, str]] = dict
    clock: Callable[[], Moment] = Moment.now
    sleep: Callable[[float], None] = time.sleep
    stop_requested: bool = field(default=False, init=False)
    wall_clock_is_over: bool = field(default=False, init=False)
    was_asked_to_stop: bool = field(default=False, init=False)
    _current: Request | None = field(default=None, init=False)
    _pause_s: float = field(default=FIRST_POLL_S, init=False)

    def until_decided(self, is_taken_away: Callable[[], bool] = lambda: False) -> Outcome:
        """Launch, wait and launch again until the trial has an outcome; returns it.

        Args:
            is_taken_away: asked after `request_stop`: whether nobody will wait for the trial any more. Then its job is
                ended; else it runs on, and whoever trains this trial next adopts it.

        Raises:
            UnavailableError: store or backend do not answer, or `request_stop` was called; the next call goes on.
        """
        while not self.stop_requested:
            outcome = self.advance()
            if outcome is not None:
                self._end_superfluous(outcome)
                return outcome
        if not is_taken_away():
            raise UnavailableError("the task was told to stop; its job runs on, and a retry waits for it")
        self.end_job(grace_s=KILL_GRACE_S)
        raise UnavailableError("the task was taken away; its job is ended too")

    def until_deferred(self, is_taken_away: Callable[[], bool] = lambda: False) -> Outcome | Request:
        """As `until_decided`, but returns the request whose job runs when all there is to do is to wait for its end."""
        while not self.stop_requested:
            step = self._next()
            if isinstance(step, Outcome):
                self._end_superfluous(step)
                return step
            if isinstance(step, Wait):
                request = self.request(step.number)
                if not self.past_deadline():
                    return request
                if not self._end_before_its_start(request):
                    self._ask_to_stop(request)
                    return request
                continue
            self._do(step)
        return self.until_decided(is_taken_away)

    def advance(self) -> Outcome | None:
        """Do the next thing for this trial. Returns its outcome once it is decided."""
        step = self._next()
        if isinstance(step, Outcome):
            return step
        self._do(step)
        return None

    def _next(self) -> Outcome | Step:
        request, store = self.request(1), self.study.store
        if (outcome := attempts.read_outcome(store, request)) is not None:
            return outcome
        view = self._view(request)
        if (outcome := attempts.read_outcome(store, request)) is not None:
            return outcome  # committed while we looked at its job
        return next_step(
            view, max_attempts=self.study.pin.spec.trial.attempts, past_deadline=self.past_deadline()
        )

    def _do(self, step: Step) -> None:
        store = self.study.store
        match step:
            case Launch(number):
                self._launch(self.request(number))
            case Wait(number):
                self._wait(self.request(number))
            case Report(number, cls, reason):
                attempts.write_report(store, self.request(number), cls, reason)
            case Decide(report, count):
                attempts.commit(store, replace(report, attempts=count))
            case Forgo(cls, reason):
                never = attempts.verdict(self.request(1), cls, reason)
                attempts.commit(store, replace(never, attempts=0, attempt=0))

    def give_up(self, reason: str) -> Outcome:
        """Stop whatever runs and decide the trial as `infra`: its train task will not come back."""
        while (outcome := attempts.read_outcome(self.study.store, self.request(1))) is None:
            view = attempts.newest_attempt(self.study.store, self.request(1))
            request = self.request(max(view.number, 1))
            if view.number:
                self.backend.stop(request.job, grace_s=request.grace_s)
                self._collect(request)
            last = attempts.newest_attempt(self.study.store, request)
            if last.number > view.number:
                continue  # a process of its train task that is not dead has launched it meanwhile
            report = view.report or _last_words(last) or attempts.verdict(request, "infra", reason)
            attempts.commit(self.study.store, replace(report, attempts=view.number))
        return outcome

    def end_job(self, *, grace_s: float | None = None) -> None:
        """Stop the job of an undecided trial, if it has one, without deciding the trial.

        Args:
            grace_s: between TERM and KILL; None: what the request says.
        """
        if (request := self._current) is None:
            view = attempts.newest_attempt(self.study.store, self.request(1))
            if not view.number or view.report is not None:
                return
            request = self.request(view.number)
        self.backend.stop(request.job, grace_s=request.grace_s if grace_s is None else grace_s)
        self._collect(request)

    def request_stop(self) -> None:
        """Make `until_decided` end soon. For a signal handler: it does nothing but set a flag."""
        self.stop_requested = True

    def request(self, attempt: int) -> Request:
        """What attempt `attempt` of this trial is to do: the same answer whoever asks."""
        pin, chosen = self.study.pin, self.batch.at(self.slot)
        trial = pin.spec.trial
        key = layout.SlotKey(pin.study, self.batch.round, self.slot).attempt(attempt)
        return Request(
            study=pin.study, round=self.batch.round, slot=self.slot, attempt=attempt, job=key.job_name,
            spec_digest=pin.digest, params=chosen.params, seed=chosen.seed,
            objectives=tuple(objective.metric for objective in pin.spec.objective),
            thresholds=tuple(pin.spec.thresholds),
            program=_program(pin.spec), metrics=tuple(pattern.model_dump() for pattern in trial.metrics),
            env=trial.env, secrets=tuple(sorted(trial.secrets)), inputs=self.inputs, code=pin.code,
            model_dir=trial.model_dir, clean_model_dir=trial.clean_model_dir, preload=trial.preload, threads=self.threads, gpus=trial.resources.gpus,
            memory_bytes=trial.resources.memory_bytes, timeout_s=trial.timeout_s,
        )  # fmt: skip

    def past_deadline(self) -> bool:
        if self.wall_clock_is_over:
            return True
        return self.batch.deadline is not None and self.batch.deadline.has_come(self.clock())

    def _view(self, request: Request) -> AttemptView:
        view = attempts.newest_attempt(self.study.store, request)
        while view.number and view.report is None:
            named = self.request(view.number)
            status = self._status(named)
            seen = view
            if status.state == "ended":
                # The job may have written its report or outcome just before it ended: look after it is known to be dead.
                self._collect(named)
                view = attempts.newest_attempt(self.study.store, request)
            # Another number: another process has launched the next one meanwhile, which may well live.
            if view.number == seen.number:
                return replace(view, job=status.state, ended_as=status.cls, ended_because=status.reason)
        return view

    def _status(self, request: Request) -> JobStatus:
        """What the backend says of the attempt's job; one that was launched on another host has ended for us."""
        status = self.backend.poll([request.job])[request.job]
        if status.state != "unknown" or self.staging is None:
            return status
        host = self.staging.elsewhere(request)
        if host is None:
            return status
        if self._current is not None:
            # By another task of this trial: only one of us is still wanted, and retried.
            self.end_job(grace_s=KILL_GRACE_S)
            raise UnavailableError(f"attempt {request.attempt} was launched on host {host} meanwhile")
        return JobStatus("ended", "infra", f"its task went on elsewhere than on host {host}")

    def _launch(self, request: Request) -> None:
        key = attempts.request_key(request)
        request = replace(request, inputs=self.bring(self.inputs))
        self.study.store.create(key.request, encode_request(request))
        self.study.store.delete([key.trial.stop])  # of a deadline that has been moved since
        if self.staging is not None:
            self.staging.claim(request)
            if self.staging.elsewhere(request):
                return
            self.staging.send(request)
        self._current = request
        self._pause_s = FIRST_POLL_S
        self.backend.submit(request)
        log.info("attempt %d started as job %s", request.attempt, request.job)

    def _wait(self, request: Request) -> None:
        self._current = request
        if self.past_deadline():
            self._ask_to_stop(request)
        if self.staging is not None:
            self.staging.forward_stop(request)
        for _ in range(POLLS_A_LOOK):
            self.sleep(self._pause_s)
            self._pause_s = min(POLL_S, self._pause_s * 1.1)
            if self.stop_requested or self._has_ended(request):
                return

    def _has_ended(self, request: Request) -> bool:
        return self.backend.poll([request.job])[request.job].state == "ended"

    def _end_before_its_start(self, request: Request) -> bool:
        """End a job that still waits for capacity: it would be started only to be told to stop. Returns whether it did."""
        if self.backend.poll([request.job])[request.job].state != "pending":
            return False
        self.backend.stop(request.job, grace_s=request.grace_s)
        reason = "the study's wall clock was used up before the job started"
        attempts.write_report(self.study.store, request, "stopped", reason)
        return True

    def _ask_to_stop(self, request: Request) -> None:
        self.was_asked_to_stop = True
        key = layout.SlotKey(request.study, request.round, request.slot).stop
        if self.study.store.create(key, b'{"reason":"the study\'s wall clock is used up"}'):
            log.info("wall clock used up: asked the trial to stop")

    def _end_superfluous(self, outcome: Outcome) -> None:
        """End our job if another process decided the trial with an earlier attempt: nobody waits for it any more."""
        if self._current is not None and self._current.attempt > outcome.attempt:
            self.backend.stop(self._current.job, grace_s=self._current.grace_s)
            self._collect(self._current)

    def _collect(self, request: Request) -> None:
        if self.staging is not None:
            self.staging.collect(request)


def _last_words(view: AttemptView) -> Outcome | None:
    """What the job reported just before it was stopped; that we stopped it is no news."""
    return None if view.report is None or view.report.cls == "interrupted" else view.report


def _program(spec: StudySpec) -> dict[str, Any]:
    trial = spec.trial
    if trial.trainer is not None:
        metrics = [*(objective.metric for objective in spec.objective), *spec.thresholds]
        return {"trainer": trial.trainer, "options": {**trial.options, "metrics": metrics}}
    if trial.entry_point is not None:
        return {"entry_point": trial.entry_point}
    return {"command": list(trial.command or ())}


OpenTrial = Callable[[RoundBatch, int], TrialRun]
"""Gives the trial at a slot of a batch, with the backend that its study runs on."""
