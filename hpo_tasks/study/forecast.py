"""`budget.cost_usd`: what a round will cost, and whether it may start. Pure.

A round's forecast comes from the trials measured so far: `likely` from the median, as everywhere in this project, and
`upper` from the 90 % quantile. The budget is held against `upper`: it is a limit, and the trials of one round resemble
each other (a sampler that has found larger models to be better asks for more of them), so that long ones do not
average out within it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import median

from hpo_tasks.study.cost import SECONDS_PER_HOUR, TotalCost, usd_text

UPPER_QUANTILE = 0.9


@dataclass(frozen=True, slots=True)
class MeasuredTrial:
    """A trial with an outcome.

    Attributes:
        billed_s: of the attempt that decided it.
        retried_s: of the attempts before that one, together.
    """

    billed_s: float
    retried_s: float = 0.0


@dataclass(frozen=True, slots=True)
class RoundForecast:
    """What is going to be spent.

    Attributes:
        trials: of the round.
        likely_usd, upper_usd: of the round, retries included.
        in_flight_usd: upper forecast of what trials without an outcome will have cost at their end, all of it.
        measured: how many trials it is based on; 0: on the time limit alone, and `likely_usd` is that too.
    """

    trials: int
    likely_usd: Decimal
    upper_usd: Decimal
    in_flight_usd: Decimal
    measured: int


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a round may start, and why, in one sentence."""

    may_start: bool
    sentence: str


def forecast_round(  # noqa: PLR0913 - one argument for each fact
    trials: int,
    *,
    usd_per_hour: Decimal,
    measured: Sequence[MeasuredTrial],
    in_flight_s: Sequence[float] = (),
    timeout_s: float,
    attempts: int,
) -> RoundForecast:
    """Forecast a round.

    Retries count by as much as they added so far: all attempts' seconds over those of the deciding ones.

    Args:
        trials: how many the round has.
        usd_per_hour: of a trial: the machine's price times the share that a trial holds.
        measured: finished trials of the study.
        in_flight_s: of each trial without an outcome: seconds billed so far, all attempts together.
        timeout_s: limit of an attempt.
        attempts: limit of attempts for a trial.
    """
    longest_s = _exact(timeout_s) * attempts
    durations_s = sorted(_exact(trial.billed_s) for trial in measured)
    if durations_s:
        retried_s = sum(_exact(trial.retried_s) for trial in measured)
        factor = 1 + retried_s / (sum(durations_s) or Decimal(1))
        likely_s = min(longest_s, median(durations_s) * factor)
        upper_s = min(longest_s, _quantile(durations_s, UPPER_QUANTILE) * factor)
    else:  # only the time limit is known; interruptions are taken for rare
        likely_s = upper_s = _exact(timeout_s)
    # One that runs longer than the forecast has no end in sight but its limit.
    in_flight = map(_exact, in_flight_s)
    flying_s = [upper_s if so_far < upper_s else max(longest_s, so_far) for so_far in in_flight]
    return RoundForecast(
        trials=trials,
        likely_usd=trials * likely_s * usd_per_hour / SECONDS_PER_HOUR,
        upper_usd=trials * upper_s * usd_per_hour / SECONDS_PER_HOUR,
        in_flight_usd=sum(flying_s, Decimal(0)) * usd_per_hour / SECONDS_PER_HOUR,
        measured=len(durations_s),
    )


def may_start(budget_usd: Decimal, spent: TotalCost, forecast: RoundForecast | None) -> Decision:
    """Decide whether a round may start within `budget.cost_usd`.

    Before anything is measured a round may start unless the budget is used up: held against the time limit, which
    people set generously, hardly any study would begin. The sentence names that bound.

    Args:
        budget_usd: the limit.
        spent: the attempts that are finished, those of trials in flight left out. Attempts without a price count as
            the forecast of a whole trial each.
        forecast: of the round; None if a trial's price is not known.
    """
    if forecast is None:
        return Decision(
            may_start=False,
            sentence=f"budget.cost_usd: {usd_text(budget_usd)} cannot be kept without a price for the machine",
        )
    per_trial = forecast.upper_usd / max(1, forecast.trials)
    committed = spent.usd + spent.without_price * per_trial + forecast.in_flight_usd
    left = budget_usd - committed
    if left <= 0:
        spelt = "spent" if not forecast.in_flight_usd else "spent or in flight"
        return Decision(
            may_start=False,
            sentence=f"budget.cost_usd: {usd_text(committed)} of {usd_text(budget_usd)} are {spelt}{_guessed(spent)}",
        )
    need = f"a round of {forecast.trials} will cost {usd_text(forecast.likely_usd)}, perhaps {usd_text(forecast.upper_usd)}"
    if not forecast.measured:
        need = (
            f"nothing is measured yet: a round of {forecast.trials} costs {usd_text(forecast.upper_usd)} "
            "if each trial takes all of trial.timeout"
        )
    return Decision(
        may_start=not forecast.measured or forecast.upper_usd <= left,
        sentence=f"budget.cost_usd: {usd_text(left)} of {usd_text(budget_usd)} are left, {need}{_guessed(spent)}",
    )


def _exact(seconds: float) -> Decimal:
    return Decimal(str(seconds))


def _quantile(ordered: Sequence[Decimal], share: float) -> Decimal:
    """Nearest rank: a duration that was measured, with at least `share` of them no longer."""
    return ordered[math.ceil(share * len(ordered)) - 1]


def _guessed(spent: TotalCost) -> str:
    if not spent.without_price:
        return ""
    noun = "attempt" if spent.without_price == 1 else "attempts"
    return f" ({spent.without_price} {noun} without a price counted as a trial each)"
