"""One campaign: an Airflow with studies on it, a seeded schedule of kills, a tail in peace, and the verdict."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tests.flow.airflow_under_test import until
from tests.flow.celery_stack import CeleryStack
from tests.flow.embedded_airflow import EmbeddedAirflow
from tests.nemesis.deeds import PAUSE, CeleryNemesis, EmbeddedNemesis, Nemesis, let_pass
from tests.nemesis.evidence import Sources, processes_left
from tests.nemesis.oracle import KINDS, judge
from tests.nemesis.recovery import Recovery, recovery
from tests.nemesis.runs import Runs
from tests.nemesis.schedule import PAUSE_S, steps

BATCH = 12
TAIL_S = 1500.0
"""How long the last runs may take once nobody disturbs them: retries wait up to five minutes each."""
GONE_S = 90.0
"""A trial parent without work ends after 30 s."""
ATTEMPTS = 10
"""A trial that is killed as often as `trial.attempts` is recorded as failed, as it should. Not what is tested here."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a campaign is to do.

    Attributes:
        stack: `embedded` or `celery`.
        seed: of the schedule.
        kills: so many; then no study is started any more.
        studies: how many are going on at the same time.
        trials: of each study.
        work_s: how long a trial takes.
        worker_timeout_s: HPO_WORKER_TIMEOUT_S of the Celery stack, which ships with 180.
        deck: another one than the stack's.
        pause_s: shortest and longest pause before a deed.
    """

    stack: str
    seed: int
    kills: int
    studies: int = 4
    trials: int = 48
    work_s: float = 0.6
    worker_timeout_s: int = 180
    deck: Mapping[str, int] | None = None
    pause_s: tuple[float, float] = PAUSE_S


@dataclass(frozen=True, slots=True)
class Done:
    """A deed that was done at this moment (Unix seconds)."""

    deed: str
    at: float


def run(plan: Plan, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Carry out the plan in an empty folder; the figures. What does not hold is in `violations`."""
    nemesis = against(plan, folder)
    airflow = nemesis.airflow
    dags = [write_study(nemesis, plan, number) for number in range(plan.studies)]
    try:
        airflow.start()
        for dag_id in dags:
            airflow.wait_for_dag(dag_id)
        runs = Runs(airflow, dags, say)
        runs.start()
        done = []
        try:
            until(airflow.trained, what="the first trial")
            done = disturb(nemesis, plan, say)
        finally:
            runs.close(TAIL_S if done else 0)
        until(lambda: not airflow.trials(), timeout_s=GONE_S, what="every trial process to be gone")
        figures = seen(nemesis, runs, done)
    finally:
        airflow.stop()
    left = still_there(nemesis)
    figures["violations"]["left"] = left
    return {"stack": plan.stack, "seed": plan.seed, "worker_timeout_s": timeout_of(plan), **figures}


def against(plan: Plan, folder: Path) -> EmbeddedNemesis | CeleryNemesis:
    """The stack, not started yet, and what can be done to it."""
    if plan.stack == "embedded":
        return EmbeddedNemesis(EmbeddedAirflow(folder))
    return CeleryNemesis(CeleryStack(folder, HPO_WORKER_TIMEOUT_S=str(plan.worker_timeout_s)))


def timeout_of(plan: Plan) -> int | None:
    return plan.worker_timeout_s if plan.stack == "celery" else None


def write_study(nemesis: Nemesis, plan: Plan, number: int) -> str:
    """A study file of its own seed; its DAG id."""
    return nemesis.airflow.write(
        f"nemesis_{number}",
        optimizer={"seed": number},
        batch_size=min(BATCH, plan.trials),
        budget={"trials": plan.trials},
        trial={"env": {"SECONDS_OF_WORK": str(plan.work_s)}, "attempts": ATTEMPTS},
    )


def disturb(nemesis: Nemesis, plan: Plan, say: Callable[[str], None]) -> list[Done]:
    """Do the deeds of the schedule until there were as many kills as planned. Deeds that hit nobody do not count."""
    done: list[Done] = []
    for step in steps(plan.seed, plan.deck or nemesis.deck, pause_s=plan.pause_s):
        let_pass(step.pause_s)
        began = time.time()
        hit = nemesis.do(step)
        if hit is not None:
            done.append(Done(step.deed, began))
        kills = kills_of(done)
        say(f"{kills.total():3}/{plan.kills} {step.deed}: {hit or 'nobody there'}")
        if kills.total() >= plan.kills:
            return done
    raise AssertionError("the deck is empty")


def kills_of(done: list[Done]) -> Counter[str]:
    return Counter(each.deed for each in done if not each.deed.startswith(PAUSE))


def seen(nemesis: Nemesis, runs: Runs, done: list[Done]) -> dict[str, Any]:
    """The verdict on all runs, and how long it took until things went on."""
    sources = Sources(nemesis.airflow)
    all_runs = [*runs.done, *runs.going.values()]
    verdicts = [judge(sources.evidence(each)) for each in all_runs]
    progress = [sources.progress(each) for each in runs.done]
    after_kills = {
        deed: longest([recovery(each.at, progress) for each in done if each.deed == deed])
        for deed in sorted(kills_of(done))
    }
    return {
        "kills": kills_of(done).total(),
        "kills_by_deed": dict(sorted(kills_of(done).items())),
        "pauses": len(done) - kills_of(done).total(),
        "studies": len(all_runs),
        "trials": sum(verdict.trials for verdict in verdicts),
        "trained_again": sum(verdict.trained_again for verdict in verdicts),
        "starts_beyond_first": sum(verdict.starts_beyond_first for verdict in verdicts),
        "violations": {
            kind: [text for verdict in verdicts for text in verdict.violations.get(kind, [])]
            for kind in KINDS
        },
        "recovery_s": after_kills,
        "longest_run_s": round(max((each.ended - each.began for each in runs.done), default=0)),
    }


def longest(found: list[Recovery | None]) -> dict[str, float]:
    """Of the recoveries after one kind of kill."""
    known = [each for each in found if each is not None]
    return {
        "times": len(known),
        "queued": max((each.queued_s for each in known), default=0.0),
        "every_run": max((each.every_run_s for each in known), default=0.0),
    }


def still_there(nemesis: Nemesis) -> list[str]:
    """Processes that outlive their Airflow."""
    try:
        until(lambda: not processes_left(nemesis.airflow), timeout_s=GONE_S, what="every process to be gone")
    except AssertionError:
        return list(islice(processes_left(nemesis.airflow), 10))
    return []
