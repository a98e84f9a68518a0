"""What attempts cost in USD. Pure and exact: decimals throughout, rounded only where a figure is shown.

A backend that knows what an attempt ran on makes a `Billing` (`batch_billing`, `ec2_billings`, `sagemaker_billing`);
`cost` prices it. A cost that is not known is None with a reason, never 0, and sums say how many they leave out.

What is not in it: disks, data transfer, the time that a Batch instance takes to start and waits between jobs.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import TypeVar

from hpo_tasks.prices.table import MachineSpec, Market, NoPrice, PriceTable

SECONDS_PER_HOUR = 3600
MIN_INSTANCE_S = 60
"""EC2 bills seconds, but at least so many for an instance."""
GIB = 1 << 30
_CENT = Decimal("0.01")
Key = TypeVar("Key", bound=Hashable)
"""However the caller names its attempts."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What an attempt ran on.

    Attributes:
        type: EC2's instance type, or SageMaker's (`ml.g5.xlarge`).
        region: e.g. `us-east-1`.
        market: how its seconds are priced.
    """

    type: str
    region: str
    market: Market = "on_demand"


@dataclass(frozen=True, slots=True)
class Billing:
    """What one attempt is charged for, whatever its outcome.

    Attributes:
        billed_s: seconds.
        share: the part of the machine that it held, 0 to 1; with several machines their number.
    """

    machine: Machine
    billed_s: Decimal
    share: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class AttemptCost:
    """The price of one attempt.

    Attributes:
        usd: exact; None if it is not known.
        reason: why it is not known, "" if it is.
        verified: the price comes from AWS or the user, see `Price`.
    """

    usd: Decimal | None
    reason: str = ""
    verified: bool = False


@dataclass(frozen=True, slots=True)
class TotalCost:
    """A sum of attempts' costs: of a trial, a round, a study.

    Attributes:
        usd: of those with a price.
        attempts: all of them.
        without_price: how many of them are not in `usd`.
        verified: every price in it is.
        reasons: why attempts have no price → how many.
    """

    usd: Decimal
    attempts: int
    without_price: int
    verified: bool
    reasons: Mapping[str, int]

    @property
    def sentence(self) -> str:
        """`$3.20 for 40 attempts`, and what is missing in it."""
        text = f"{usd_text(self.usd)} for {_counted(self.attempts - self.without_price, 'attempt')}"
        if self.without_price:
            text += f"; {_counted(self.without_price, 'attempt')} without a price: {'; '.join(self.reasons)}"
        return text


def cost(billing: Billing | None, prices: PriceTable, *, reason: str = "") -> AttemptCost:
    """The cost of an attempt.

    Args:
        billing: None if the backend cannot tell what the attempt ran on or for how long.
        prices: the table that counts.
        reason: why there is no billing.
    """
    if billing is None:
        return AttemptCost(None, reason or "it is not known what it ran on")
    machine = billing.machine
    price = prices.price(machine.type, machine.region, machine.market)
    if isinstance(price, NoPrice):
        return AttemptCost(None, price.reason)
    return AttemptCost(usd_of(billing, price.usd_per_hour), verified=price.verified)


def usd_of(billing: Billing, usd_per_hour: Decimal) -> Decimal:
    """Seconds times price times share."""
    return billing.billed_s * billing.share * usd_per_hour / SECONDS_PER_HOUR


def total(costs: Iterable[AttemptCost]) -> TotalCost:
    """Add up; attempts without a price are counted, not taken for 0."""
    every = list(costs)
    priced = [one for one in every if one.usd is not None]
    return TotalCost(
        usd=sum((one.usd for one in priced if one.usd is not None), Decimal(0)),
        attempts=len(every),
        without_price=len(every) - len(priced),
        verified=all(one.verified for one in priced),
        reasons=dict(Counter(one.reason for one in every if one.usd is None).most_common()),
    )


def cents(usd: Decimal) -> Decimal:
    """Rounded to the cent, half a cent upwards."""
    return usd.quantize(_CENT, ROUND_HALF_UP)


def usd_text(usd: Decimal) -> str:
    """`$1,234.50`; what is above 0 and below half a cent is `less than $0.01`."""
    rounded = cents(usd)
    return "less than $0.01" if usd > 0 and not rounded else f"${rounded:,}"


def batch_billing(  # noqa: PLR0913 - what Batch tells of a job
    machine: Machine,
    spec: MachineSpec | None,
    *,
    seconds: float,
    vcpus: float,
    memory_bytes: int,
    gpus: int = 0,
) -> Billing | None:
    """A job on a Batch instance: its seconds times the share of the instance that it held.

    The share is the largest of its shares of processors, memory and GPUs: what it holds of the scarcest, nobody else
    can have.

    Args:
        machine: the instance that the job ran on.
        spec: what that instance type offers; None if unknown.
        seconds: from the job's start to its stop.
        vcpus: that the job asked for; may be a fraction.
        memory_bytes: that it asked for.
        gpus: that it asked for.

    Returns: None without a spec.
    """
    if spec is None:
        return None
    shares = [_exact(vcpus) / spec.vcpus, Decimal(memory_bytes) / GIB / spec.memory_gib]
    if spec.gpus:
        shares.append(Decimal(gpus) / spec.gpus)
    return Billing(machine, _exact(seconds), min(Decimal(1), max(shares)))


def ec2_billings(machine: Machine, alive_s: float, busy_s: Mapping[Key, float]) -> dict[Key, Billing]:
    """One instance's whole life, its idle time included, divided among the attempts that ran on it.

    Each attempt bears idle time in proportion to its own, so that the parts add up to the instance's bill.

    Args:
        machine: the instance.
        alive_s: from its launch to its end, or until now.
        busy_s: attempt → seconds that it ran.

    Returns: nothing if nothing ran: then the instance is nobody's attempt; see `ec2_idle_billing`.
    """
    billed, busy = ec2_idle_billing(machine, alive_s).billed_s, sum(map(_exact, busy_s.values()))
    if not busy:
        return {}
    return {key: Billing(machine, billed * _exact(seconds) / busy) for key, seconds in busy_s.items()}


def ec2_idle_billing(machine: Machine, alive_s: float) -> Billing:
    """An instance as a whole."""
    return Billing(machine, max(Decimal(MIN_INSTANCE_S), _exact(alive_s)))


def sagemaker_billing(machine_type: str, region: str, *, billable_s: float, instances: int = 1) -> Billing:
    """A training job.

    SageMaker takes the discount of managed spot training off the seconds (savings = 1 - BillableTimeInSeconds /
    TrainingTimeInSeconds), so the price is the on-demand one in either case.

    Args:
        machine_type: with `ml.`.
        region: of the job.
        billable_s: `BillableTimeInSeconds`; of a warm pool `ResourceRetainedBillableTimeInSeconds`.
        instances: `InstanceCount`.
    """
    return Billing(Machine(machine_type, region, "on_demand"), _exact(billable_s), Decimal(instances))


def _exact(number: float) -> Decimal:
    return Decimal(str(number))


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"
