"""The place where jobs run, and the jobs: the product's runner around a program that only waits.

Reading the request, claiming the attempt and committing how it ended are `trial/runner.py`'s own functions.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from hpo_tasks.backends.base import JobStatus
from hpo_tasks.errors import HpoError
from hpo_tasks.trial import layout, runner
from hpo_tasks.trial.contract import Outcome, Request, params_sha256
from hpo_tasks.trial.layout import AttemptKey, SlotKey
from tests.simulator.scheduler import Process, Scheduler
from tests.simulator.store import MemoryStore

LONGEST_S = 0.8
START_S = 0.4
LOOK_S = 0.3
REPORT_S = 5.0
ENDINGS = (
    *("complete",) * 12,
    *("infra", "user_error", "oom", "vanishes", "torn outcome"),
)
"""How programs end, each as often as it is named."""


@dataclass
class Instance:
    """One process of a job; a job has more than one if the backend starts it twice."""

    job: str
    key: AttemptKey
    begun_s: float
    process: Process | None = None
    training: bool = False
    cut_off: bool = False
    """The backend has given its host up, but it goes on."""
    decided_before: bool = False
    """The trial had an outcome already when this process began."""

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.alive


@dataclass
class Training:
    """The oracle: a program that was started.

    Attributes:
        attempt: what it trained.
        params_sha256: what it was given.
        after_outcome: the trial had an outcome already when the job's process began.
    """

    attempt: AttemptKey
    params_sha256: str
    after_outcome: bool


@dataclass
class Oracle:
    """What the programs themselves noted down. No process of the product can read it."""

    trainings: list[Training] = field(default_factory=list)


class SimulatedBackend:
    """Implements `Backend`. Adopts by name; with a lost reply it may all the same start a job twice, as Batch may."""

    def __init__(self, scheduler: Scheduler, store: MemoryStore, seed: int, *, calm: bool = False) -> None:
        self.instances: list[Instance] = []
        self.oracle = Oracle()
        self._scheduler = scheduler
        self._store = store
        self._seed = seed
        self._calm = calm
        self._given_up: set[str] = set()
        self._found_dead_s: dict[str, float] = {}

    # The port.

    def submit(self, request: Request) -> None:
        self._call(f"submit {request.job}", lambda: self._submit(request), repeatable=True)

    def poll(self, jobs: Sequence[str]) -> Mapping[str, JobStatus]:
        return self._call(f"poll {' '.join(jobs)}", lambda: {job: self._status(job) for job in jobs})

    def stop(self, job: str, *, grace_s: float) -> None:
        self._call(f"stop {job}", lambda: self._terminate(job))
        deadline_s = self._scheduler.now_s + grace_s + REPORT_S
        while self._reachable(job) and self._scheduler.now_s < deadline_s:
            self._scheduler.sleep(LOOK_S)
        self._call(f"kill {job}", lambda: self._kill(job))

    def log_tail(self, job: str) -> str:
        return ""

    # What happens to jobs.

    def alive(self) -> list[Instance]:
        return [instance for instance in self.instances if instance.alive]

    def training(self, trial: SlotKey) -> list[Instance]:
        """Programs of the trial that run where the backend can still stop them.

        Not those of a job that was found dead, or stopped, before it was submitted: a process that was believed to be
        dead did that a moment later. Nobody can know.
        """
        running = [
            each for each in self.instances if each.training and each.key.trial == trial and not each.cut_off
        ]
        return [each for each in running if each.begun_s <= self._found_dead_s.get(each.job, math.inf)]

    def lose(self, instance: Instance, *, really: bool) -> None:
        """The host of a job is lost; if not really, only the backend believes so, and the job goes on."""
        self._given_up.add(instance.job)
        for each in self._of(instance.job):
            each.cut_off = True
            if really and each.process:
                self._scheduler.kill(each.process)

    def start_again(self, job: str) -> None:
        """The backend starts another process for a job that it has started already."""
        self._scheduler.say(f"backend: starts {job} again")
        self._start(job)

    def _call(self, what: str, effect, *, repeatable: bool = False):
        return self._scheduler.call(f"backend: {what}", "backend", effect, repeatable=repeatable)

    def _submit(self, request: Request) -> None:
        if not self._of(request.job):
            self._start(request.job)

    def _start(self, job: str) -> None:
        instance = Instance(job, AttemptKey.of_job(job), self._scheduler.now_s)
        number = len(self._of(job))
        self.instances.append(instance)
        name = f"{job}{'+' * number}"
        instance.process = self._scheduler.start(
            name, "cloud", lambda: self._run(instance), lambda _: _end(instance)
        )
        instance.process.wake_at_s = self._scheduler.now_s + Random(f"{self._seed} {name}").uniform(
            0, START_S
        )

    def _of(self, job: str) -> list[Instance]:
        return [instance for instance in self.instances if instance.job == job]

    def _reachable(self, job: str) -> bool:
        return any(each.alive and not each.cut_off for each in self._of(job))

    def _status(self, job: str) -> JobStatus:
        if job in self._given_up:
            return JobStatus("ended", "infra", "its host was lost")
        if self._reachable(job):
            return JobStatus("running")
        self._found_dead_s[job] = self._scheduler.now_s
        return JobStatus("ended" if self._of(job) else "unknown")

    def _terminate(self, job: str) -> None:
        for each in self._of(job):
            if each.process and not each.cut_off:
                each.process.terminate()

    def _kill(self, job: str) -> None:
        self._found_dead_s[job] = self._scheduler.now_s
        for each in self._of(job):
            if each.process and not each.cut_off:
                self._scheduler.kill(each.process)

    # In the job.

    def _run(self, instance: Instance) -> None:
        """What `runner.main` does, with another program."""
        terminated: list[bool] = []
        instance.decided_before = instance.key.trial.outcome in self._store.objects
        instance.process.on_term = lambda: terminated.append(True)  # type: ignore[union-attr]
        try:
            request = runner.read_request(self._store, instance.key)  # type: ignore[arg-type]
            if runner.claim(self._store, instance.key, request):  # type: ignore[arg-type]
                self._train(instance, request, terminated)
        except HpoError as error:  # exit code 75: nothing is written
            self._scheduler.say(f"ends: {error}")

    def _train(self, instance: Instance, request: Request, terminated: list[bool]) -> None:
        chance = Random(f"{self._seed} {instance.key}")
        ending = "complete" if self._calm else chance.choice(ENDINGS)
        until_s = self._scheduler.now_s + chance.uniform(0.05, LONGEST_S)
        begun_s = self._scheduler.now_s
        self._scheduler.say(f"trains {dict(request.params)}")
        self.oracle.trainings.append(
            Training(instance.key, params_sha256(request.params), instance.decided_before)
        )
        instance.training = True
        while self._scheduler.now_s < until_s and not terminated and ending != "stopped":
            self._scheduler.sleep(LOOK_S)
            if self._asked_to_stop(request):
                ending = "stopped"
        instance.training = False
        ending = "interrupted" if terminated else ending
        self._scheduler.say(f"ends: {ending}")
        if ending == "torn outcome":
            self._store.create(instance.key.trial.outcome, b'{"schema":1,')
        elif ending != "vanishes":
            outcome = outcome_of(request, ending, self._scheduler.now_s - begun_s)
            runner.commit(self._store, instance.key, outcome)  # type: ignore[arg-type]

    def _asked_to_stop(self, request: Request) -> bool:
        slot = SlotKey(request.study, request.round, request.slot)
        return any(key in self._store.objects for key in (slot.stop, layout.study_stop_key(request.study)))


def outcome_of(request: Request, cls: str, duration_s: float) -> Outcome:
    """What the runner writes after a program that ended so."""
    values = {}
    if cls == "complete":
        digest = hashlib.sha256(params_sha256(request.params).encode()).digest()
        values = {name: int.from_bytes(digest[:4]) / 2**32 for name in request.objectives}
    return Outcome(
        study=request.study, round=request.round, slot=request.slot, attempt=request.attempt, cls=cls,
        reason="" if cls == "complete" else f"the program said {cls}", values=values, spec_digest=request.spec_digest,
        params_sha256=params_sha256(request.params), attempts=request.attempt, duration_s=round(duration_s, 3),
    )  # fmt: skip


def _end(instance: Instance) -> None:
    instance.training = False
