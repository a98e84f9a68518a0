"""`hpo plan`: which machines a study should run on. Pure: measured trial times and prices in, forecasts out.

The study's rounds are played through: each trial takes the measured times in turn and goes to the slot that is free
first; the round ends with its slowest trial. EC2 and Batch machines are paid from their start to the study's end, idle
slots included. SageMaker's are paid by the trial; each one waits for a machine of its own to start.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from heapq import heapify, heapreplace
from itertools import cycle, islice
from statistics import median

from hpo_tasks.prices.table import SAGEMAKER, NoPrice, PriceTable
from hpo_tasks.spec.model import Resources
from hpo_tasks.spec.plan_file import MachineChoice
from hpo_tasks.spec.units import duration_text
from hpo_tasks.study.cost import GIB, MIN_INSTANCE_S, Billing, Machine, usd_of
from hpo_tasks.study.trial_times import MeasuredTimes, NoTimes, times_for


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """What is the same for every choice.

    Attributes:
        trials, batch_size: of the study.
        resources: what a trial asks for; its threads are the choice's.
        region: where the machines are.
        round_overhead_s: between two rounds; startup_s: of a machine.
        parallel_share: see `times_for`.
    """

    trials: int
    batch_size: int
    resources: Resources
    region: str
    round_overhead_s: float
    startup_s: float
    parallel_share: float | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a study would take and cost on a choice of machines.

    Attributes:
        wall_s: from the order of the machines to the end of the last round.
        cost_usd: exact; None if there is no price, `problem` says why.
        idle_share: of the paid slot time, startup and the time between rounds included.
        trial_s: the median trial.
        notes: what the forecast rests on, in sentences.
        problem: why there is no cost, or no forecast at all (then `wall_s` is None).
    """

    choice: MachineChoice
    wall_s: Decimal | None = None
    cost_usd: Decimal | None = None
    idle_share: float | None = None
    trial_s: float | None = None
    notes: tuple[str, ...] = ()
    problem: str = ""

    @property
    def name(self) -> str:
        """`2 × m5.4xlarge spot, 2 slots × 8 threads`."""
        choice = self.choice
        market = " spot" if choice.market == "spot" else ""
        slots, threads = _counted(choice.slots, "slot"), _counted(choice.threads, "thread")
        return f"{choice.count} × {choice.type}{market}, {slots} × {threads}"


def forecast(
    plan: StudyPlan, choice: MachineChoice, measured: Sequence[MeasuredTimes], prices: PriceTable
) -> Forecast:
    """Forecast the study on one choice of machines."""
    if problem := _misfit(choice, plan.resources, prices):
        return Forecast(choice, problem=problem)
    times = times_for(choice.threads, choice.type, measured, plan.parallel_share)
    if isinstance(times, NoTimes):
        return Forecast(choice, problem=times.reason)
    busy_s = [_exact(seconds) for seconds in islice(cycle(times.seconds), plan.trials)]
    wall_s, paid = _played(plan, choice, busy_s)
    price = prices.price(choice.type, plan.region, choice.market)
    known = Forecast(
        choice,
        wall_s=wall_s,
        idle_share=float(1 - sum(busy_s) / (paid.billed_s * paid.share * choice.slots)),
        trial_s=median(times.seconds),
        notes=times.notes,
    )
    if isinstance(price, NoPrice):
        return replace(known, problem=price.reason)
    notes = [*times.notes]
    if choice.market == "spot":
        notes.append("interruptions left out")
    if not price.verified:
        notes.append(f"price of {price.as_of}, unverified")
    return replace(known, cost_usd=usd_of(paid, price.usd_per_hour), notes=tuple(notes))


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The choice to take.

    Attributes:
        forecast: of that choice.
        reason: why it is that one, a sentence.
        compared: a sentence on each other choice that has a price.
    """

    forecast: Forecast
    reason: str
    compared: tuple[str, ...]


def recommend(forecasts: Sequence[Forecast], deadline_s: float | None) -> Recommendation | None:
    """Choose among the forecasts that have a price.

    With a deadline: the cheapest that keeps it; if none does, the fastest. Without: the best value, which is the least
    product of dollars and hours, so that a tenth less time is worth a tenth more money. Of equals the cheaper, then the
    faster, then the first.

    Returns: None if there is nothing to choose from.
    """
    priced = [one for one in forecasts if one.cost_usd is not None and one.wall_s is not None]
    if not priced:
        return None
    if deadline_s is None:
        best = min(priced, key=lambda one: (_usd(one) * _wall(one), _usd(one), _wall(one)))
        reason = "the best value: the least product of dollars and hours"
    elif in_time := [one for one in priced if _wall(one) <= _exact(deadline_s)]:
        best = min(in_time, key=lambda one: (_usd(one), _wall(one)))
        several = f"the cheapest of {len(in_time)} choices that keep"
        which = several if len(in_time) > 1 else "the only choice that keeps"
        reason = f"{which} the deadline of {duration_text(deadline_s)}"
    else:
        best = min(priced, key=lambda one: (_wall(one), _usd(one)))
        reason = f"no choice keeps the deadline of {duration_text(deadline_s)}; this is the fastest"
    others = tuple(f"{other.name} {_compared(other, best)}" for other in priced if other is not best)
    return Recommendation(best, reason, others)


def _misfit(choice: MachineChoice, resources: Resources, prices: PriceTable) -> str:
    """Why the slots do not fit on the machine, "" if they do or the machine is not known."""
    spec = prices.spec(choice.type)
    if spec is None:
        return ""
    wanted = [
        (choice.slots * choice.threads, spec.vcpus, "threads", "vCPUs"),
        (choice.slots * resources.gpus, spec.gpus, "GPUs", "GPUs"),
    ]
    for needs, has, needed, unit in wanted:
        if needs > has:
            return f"{_counted(choice.slots, 'slot')} would need {needs} {needed}, {choice.type} has {has} {unit}"
    memory_gib = Decimal(resources.memory_bytes or 0) * choice.slots / GIB
    if memory_gib > spec.memory_gib:
        asked = f"{_counted(choice.slots, 'slot')} would need {memory_gib:.1f} GiB"
        return f"{asked}, {choice.type} has {spec.memory_gib} GiB"
    return ""


def _played(plan: StudyPlan, choice: MachineChoice, busy_s: Sequence[Decimal]) -> tuple[Decimal, Billing]:
    """The study's wall time, and what is paid for: the machines' life, or the trials alone."""
    startup_s, overhead_s = _exact(plan.startup_s), _exact(plan.round_overhead_s)
    machine = Machine(choice.type, plan.region, choice.market)
    slots = choice.count * choice.slots
    if choice.type.startswith(SAGEMAKER):
        rounds_s = _rounds([startup_s + seconds for seconds in busy_s], plan.batch_size, slots)
        return sum(rounds_s, overhead_s * len(rounds_s)), Billing(machine, sum(busy_s, Decimal(0)))
    rounds_s = _rounds(busy_s, plan.batch_size, slots)
    wall_s = sum(rounds_s, startup_s + overhead_s * len(rounds_s))
    return wall_s, Billing(machine, max(Decimal(MIN_INSTANCE_S), wall_s), Decimal(choice.count))


def _rounds(trials_s: Sequence[Decimal], batch_size: int, slots: int) -> list[Decimal]:
    """How long each round takes: its trials in order, each on the slot that is free first."""
    rounds = []
    for start in range(0, len(trials_s), batch_size):
        free_at = [Decimal(0)] * slots
        heapify(free_at)
        for seconds in trials_s[start : start + batch_size]:
            heapreplace(free_at, free_at[0] + seconds)
        rounds.append(max(free_at))
    return rounds


def _compared(other: Forecast, best: Forecast) -> str:
    """`takes 40 % less time at 3.6 times the price`."""
    time = round(100 * (_wall(other) / _wall(best) - 1))
    took = (
        "takes as long"
        if not time
        else f"takes {time} % longer"
        if time > 0
        else f"takes {-time} % less time"
    )
    times = _usd(other) / _usd(best)
    if abs(times - 1) < Decimal("0.005"):
        return f"{took} at the same price"
    return (
        f"{took} at {times:.1f} times the price"
        if times >= 1
        else f"{took} at {100 * times:.0f} % of the price"
    )


def _usd(one: Forecast) -> Decimal:
    return one.cost_usd if one.cost_usd is not None else Decimal("Infinity")


def _wall(one: Forecast) -> Decimal:
    return one.wall_s if one.wall_s is not None else Decimal("Infinity")


def _exact(number: float) -> Decimal:
    return Decimal(str(number))


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"
