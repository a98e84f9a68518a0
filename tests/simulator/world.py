"""One history: a study or two, the product's steps as Airflow's tasks, and everything that they talk to."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from hpo_tasks.errors import UnavailableError
from hpo_tasks.flow.settings import Deployment
from hpo_tasks.flow.steps import attempts, pin
from hpo_tasks.flow.steps.ask import ask
from hpo_tasks.flow.steps.batch import RoundBatch, read_batch
from hpo_tasks.flow.steps.clock import Moment
from hpo_tasks.flow.steps.conclude import conclude
from hpo_tasks.flow.steps.prepare import RunIdentity, Site, prepare
from hpo_tasks.flow.steps.run import OpenStudy, open_study
from hpo_tasks.flow.steps.tell import end_of, tell
from hpo_tasks.flow.steps.train import TrialRun
from hpo_tasks.spec import StudySpec, Trust, validate
from hpo_tasks.study import ledger, write
from hpo_tasks.study.identity import study_id
from hpo_tasks.study.plan import Finished
from hpo_tasks.trial import runner
from tests.simulator import memory_tables
from tests.simulator.airflow import FAULTS, Airflow, Run, Skip
from tests.simulator.backend import SimulatedBackend
from tests.simulator.checker import Checker
from tests.simulator.database import Locks, SimulatedDatabase, SimulatedLedger, Tables, Transactions
from tests.simulator.faults import Faults
from tests.simulator.scheduler import Event, Process, Scheduler
from tests.simulator.store import MemoryStore

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
DEPLOYMENT = Deployment("simulated", "", None, Path("/nowhere"), None, ())
DAG_ID = "hpo_simulated"
SHORTEST_PAUSE_S = 0.2
STUDIES = 16
"""Study ids that histories share, so that what is proposed without any fault is computed once for each."""

MakeTables = Callable[[Transactions], Tables]


@dataclass(frozen=True)
class Plan:
    """What a history is about.

    Attributes:
        shape: which of `SHAPES`.
        names: ids of the DAG runs; two run side by side.
        may_lose_locks: the locks are PostgreSQL's, not a file's.
    """

    shape: int
    names: tuple[str, ...]
    may_lose_locks: bool


def plan_of(seed: int) -> Plan:
    """The plan of a history."""
    random = Random(f"{seed} plan")
    first = random.randrange(STUDIES)
    names = [f"run-{first}"] + [f"run-{(first + 1) % STUDIES}"] * (random.random() < 0.1)
    return Plan(random.randrange(len(SHAPES)), tuple(names), random.random() < 0.5)


SHAPES: tuple[dict[str, Any], ...] = (
    *(
        {"batch_size": batch, "budget": {"trials": trials, "max_failed_share": 1.0}, "attempts": cap}
        for batch, trials, cap in (
            (1, 1, 3),
            (1, 2, 2),
            (2, 2, 3),
            (2, 3, 1),
            (3, 3, 3),
            (2, 4, 2),
            (4, 4, 2),
            (3, 6, 3),
            (5, 6, 1),
            (4, 8, 2),
            (4, 12, 3),
        )
    ),
    {"batch_size": 4, "budget": {"trials": 8, "max_failed_share": 1.0}, "attempts": 2, "trials_per_task": 3},
    {"batch_size": 2, "budget": {"trials": 9, "max_failed_share": 0.3}, "attempts": 2},
    {"batch_size": 2, "budget": {"trials": 6, "max_failed_share": 1.0, "wall_clock": 20}, "attempts": 2},
    {
        "batch_size": 3,
        "budget": {"trials": 6, "max_failed_share": 1.0},
        "attempts": 2,
        "values": [1, 2, 3, 4],
    },
    {"batch_size": 2, "budget": {"trials": 3, "max_failed_share": 1.0}, "attempts": 3, "sampler": "grid"},
)


@cache
def spec_of(shape: int) -> StudySpec:
    """The study file of a shape."""
    chosen = dict(SHAPES[shape])
    search: dict[str, Any] = {"x": {"type": "float", "low": 0.0, "high": 1.0}}
    sampler = chosen.pop("sampler", "random")
    values = chosen.pop("values", [1, 2, 3] if sampler == "grid" else None)
    if values:
        search = {"x": {"type": "categorical", "choices": values}}
    document = {
        "name": "simulated",
        "objective": {"metric": "loss", "direction": "minimize"},
        "search": search,
        "optimizer": {"sampler": sampler, "seed": 7},
        "trial": {"command": ["true"], "attempts": chosen.pop("attempts")},
        "backend": {"type": "local", "slots": 2},
        **chosen,
    }
    return validate(document, trust=Trust.FILE, source="simulator")


@dataclass
class History:
    """What came of a seed."""

    seed: int
    violations: list[str]
    events: list[Event]
    proposals: dict[str, dict[tuple[int, int], dict]]
    superseded: int = 0
    trainings: int = 0
    trials: int = 0

    def lines(self) -> Iterator[str]:
        for event in self.events:
            yield f"{event.at_s:9.2f}  {event.who:<28} {event.what}"


class World:
    """Everything of one history."""

    def __init__(self, seed: int, plan: Plan, make_tables: MakeTables, *, calm: bool = False) -> None:
        self.plan = plan
        self.spec = spec_of(plan.shape)
        values = getattr(self.spec.search["x"], "choices", None)
        self.budget = min(self.spec.budget.trials, len(values) if values else self.spec.budget.trials)
        self.rounds = -(-self.spec.budget.trials // self.spec.batch_size) + 1
        self.scheduler = Scheduler(seed, Faults(seed, FAULTS, calm=calm))
        self.store = MemoryStore(self.scheduler)
        self.transactions = Transactions(self.scheduler)
        self.locks = Locks(self.scheduler, may_be_lost=plan.may_lose_locks)
        self.tables = make_tables(self.transactions)
        self.ledger = SimulatedLedger(SimulatedDatabase(self.tables, self.locks), self.scheduler)
        self.backend = SimulatedBackend(self.scheduler, self.store, seed, calm=calm)
        self.studies = {name: study_id(DEPLOYMENT.name, DAG_ID, name, 0) for name in plan.names}
        self.airflow = Airflow(self.scheduler, self.backend, [self._run(name) for name in plan.names])
        self.checker = Checker(self)

    def run(self) -> History:
        """Let it happen."""
        clock = _Clock(lambda: self.scheduler.now_s)
        with clock.installed():
            ended = self.scheduler.run(self.airflow)
            if not ended:
                self.checker.violated("P: the history has no end")
            else:
                self.checker.at_the_end()
        return self.checker.history()

    def _run(self, name: str) -> Run:
        return Run(
            name=f"{name}." if len(self.plan.names) > 1 else "",
            rounds=self.rounds,
            slots=self.spec.backend.slots,
            works=lambda kind, round_, index: self._work(name, kind, round_, index),
            is_over=lambda: self._has_failed(self.studies[name]),
        )

    def _has_failed(self, study: str) -> bool:
        """Whether conclude has said so, and rightly."""
        return self.tables.study_state(study) == "failed" and self.checker.may_have_failed(study)

    # What each task does: `flow/tasks.py` without Airflow.

    def _work(self, name: str, kind: str, round_: int, index: int) -> Callable[[Process], Any]:
        works = {
            "prepare": lambda _: self._prepare(name),
            "ask": lambda _: self._ask(name, round_),
            "train": lambda process: self._train(name, round_, index, process),
            "tell": lambda _: self._tell(name, round_),
            "conclude": lambda _: self._conclude(name),
        }
        return works[kind]

    def _prepare(self, name: str) -> str:
        run = RunIdentity(DAG_ID, name, 0, (BEGIN, BEGIN))
        site = Site(DEPLOYMENT, self.store, self.ledger, lambda: None, lambda _: None, None, self.rounds)  # type: ignore[arg-type]
        return prepare(self.spec, run, site).study

    def _open(self, name: str) -> OpenStudy:
        if self._run_of(name).tasks["prepare"].xcom is None:
            raise StudyFailed("prepare has not succeeded")
        return open_study(DEPLOYMENT, self.store, self.studies[name])  # type: ignore[arg-type]

    def _run_of(self, name: str) -> Run:
        return self.airflow.runs[self.plan.names.index(name)]

    def _ask(self, name: str, round_: int) -> list[list[int]]:
        result = ask(self._open(name), self.ledger, round_, clock=self._time)
        if isinstance(result, Finished):
            raise Skip
        slots, size = [row.slot for row in result.configurations], self.spec.trials_per_task
        return [slots[first : first + size] for first in range(0, len(slots), size)]

    def _train(self, name: str, round_: int, index: int, process: Process) -> None:
        run = self._run_of(name)
        task = run.tasks[f"train[{round_},{index}]"]
        works = run.tasks[f"ask[{round_}]"].xcom
        if works is None:
            raise UnavailableError("ask is being run again")
        study = self._open(name)
        batch = read_batch(study.store, study.pin.study, round_)
        for slot in works[index]:
            trial = self._trial(study, batch, slot)
            process.on_term = trial.request_stop
            trial.until_decided(lambda: self.airflow.is_taken_away(task))

    def _tell(self, name: str, round_: int) -> None:
        if self._run_of(name).tasks[f"ask[{round_}]"].xcom is None:
            raise StudyFailed("ask handed out no round")
        study = self._open(name)
        tell(study, self.ledger, round_, lambda batch, slot: self._trial(study, batch, slot))
        if end_of(study, self.ledger) is not None:
            raise Skip

    def _conclude(self, name: str) -> None:
        study = self._open(name)
        decided = self.checker.decided(study.pin.study)
        conclusion = conclude(study, self.ledger, lambda batch, slot: self._trial(study, batch, slot))
        self.scheduler.say(f"concludes: {conclusion.state}: {conclusion.reason}")
        self.checker.concluded(study.pin.study, decided, conclusion)
        if not conclusion.is_success:
            raise StudyFailed(conclusion.reason)

    def _trial(self, study: OpenStudy, batch: RoundBatch, slot: int) -> TrialRun:
        return TrialRun(
            study,
            batch,
            slot,
            self.backend,
            {},
            1,
            clock=self._time,
            sleep=self._sleep,  # type: ignore[arg-type]
        )

    def _time(self) -> Moment:
        return Moment(BEGIN.timestamp() + self.scheduler.now_s)

    def _sleep(self, seconds: float) -> None:
        """At least as long as a look at everything takes: pauses of milliseconds would only make histories longer."""
        self.scheduler.sleep(max(seconds, SHORTEST_PAUSE_S))


class StudyFailed(Exception):  # noqa: N818 - `flow.tasks.StudyFailedError`, without Airflow
    """Conclude says that the study is neither complete nor stopped on purpose, or there is none."""


class _Clock:
    """Puts the history's clock where the product reads the time."""

    MODULES = (ledger, write, attempts, runner)

    def __init__(self, now_s: Callable[[], float]) -> None:
        class Simulated(datetime):
            @classmethod
            def now(cls, tz=None):
                del tz
                return BEGIN + timedelta(seconds=round(now_s(), 3))

        self._datetime = Simulated

    @contextmanager
    def installed(self) -> Iterator[None]:
        before = [module.datetime for module in self.MODULES]
        for module in self.MODULES:
            module.datetime = self._datetime  # type: ignore[misc]
        try:
            yield
        finally:
            for module, real in zip(self.MODULES, before, strict=True):
                module.datetime = real  # type: ignore[misc]


@contextmanager
def in_memory() -> Iterator[MakeTables]:
    """The ledger's tables as Python objects; pure functions that a history asks for again and again answer once."""
    with ExitStack() as patches:
        patches.enter_context(patch.object(ledger, "read", memory_tables.reads))
        patches.enter_context(patch.object(ledger, "write", memory_tables.writes))
        patches.enter_context(remembered())
        yield memory_tables.MemoryTables


@contextmanager
def remembered() -> Iterator[None]:
    """Pure functions over whole specs get the same few arguments again and again: remember their answers."""
    digests: dict[int, str] = {}
    real = pin.digest

    def digest(spec: StudySpec) -> str:
        if id(spec) not in digests:
            digests[id(spec)] = real(spec)
        return digests[id(spec)]

    with patch.object(pin, "digest", digest), patch.object(pin, "_decode", cache(pin._decode)):
        yield
