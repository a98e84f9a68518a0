"""Whether a round fits into budget.cost_usd. At 3.6 dollars an hour a second costs a tenth of a cent."""

from decimal import Decimal

import pytest

from hpo_tasks.study.cost import AttemptCost, total
from hpo_tasks.study.forecast import MeasuredTrial, forecast_round, may_start

FIVE = [MeasuredTrial(seconds) for seconds in (60.0, 300.0, 120.0, 240.0, 180.0)]


def forecast(trials=4, measured=FIVE, **changes):
    facts = {"usd_per_hour": Decimal("3.6"), "timeout_s": 1000.0, "attempts": 3, **changes}
    return forecast_round(trials, measured=measured, **facts)


def spent(usd, without_price=0):
    return total([AttemptCost(Decimal(usd))] + [AttemptCost(None, "no price")] * without_price)


def test_a_round_costs_its_trials_times_the_median_and_at_worst_the_upper_quantile():
    found = forecast()
    assert (found.likely_usd, found.upper_usd) == (Decimal("0.72"), Decimal("1.2"))
    assert found.measured == 5


def test_the_upper_quantile_is_the_shortest_duration_that_covers_nine_of_ten():
    measured = [MeasuredTrial(float(seconds)) for seconds in range(100, 1100, 100)]
    assert forecast(1, measured).upper_usd == Decimal("0.9")


def test_retries_count_by_what_they_added_so_far():
    """90 of 900 s were lost to interrupted attempts: a tenth more."""
    measured = [MeasuredTrial(60.0, retried_s=90.0), *FIVE[1:]]
    found = forecast(measured=measured)
    assert (found.likely_usd, found.upper_usd) == (Decimal("0.792"), Decimal("1.32"))


def test_no_trial_is_forecast_beyond_its_time_limit():
    assert forecast(
        1, [MeasuredTrial(100.0, retried_s=900.0)], timeout_s=50, attempts=2
    ).upper_usd == Decimal("0.1")


def test_trials_in_flight_count_whole():
    """One is 100 s old: it takes 300 s. One is 500 s old, longer than any: it may take all of its attempts."""
    assert forecast(in_flight_s=[100.0]).in_flight_usd == Decimal("0.3")
    assert forecast(in_flight_s=[500.0]).in_flight_usd == Decimal(3)
    assert forecast(in_flight_s=[5000.0]).in_flight_usd == Decimal(5)


def test_without_measurements_the_time_limit_is_all_that_is_known():
    found = forecast(measured=[])
    assert (found.likely_usd, found.upper_usd, found.measured) == (Decimal(4), Decimal(4), 0)


@pytest.mark.parametrize(("usd", "starts"), [("8.80", True), ("8.81", False)])
def test_a_round_starts_if_its_upper_forecast_fits_into_what_is_left(usd, starts):
    decision = may_start(Decimal(10), spent(usd), forecast())
    assert decision.may_start is starts
    left = Decimal(10) - Decimal(usd)
    assert decision.sentence == (
        f"budget.cost_usd: ${left} of $10.00 are left, a round of 4 will cost $0.72, perhaps $1.20"
    )


def test_what_is_in_flight_is_spent_already():
    assert may_start(Decimal(10), spent("8.5"), forecast()).may_start
    assert not may_start(Decimal(10), spent("8.5"), forecast(in_flight_s=[100.0, 100.0])).may_start


def test_a_budget_that_is_used_up_says_so():
    assert may_start(Decimal(10), spent("10"), forecast()).sentence == (
        "budget.cost_usd: $10.00 of $10.00 are spent"
    )
    decision = may_start(Decimal(10), spent("9.9"), forecast(in_flight_s=[250.0]))
    assert not decision.may_start
    assert decision.sentence == "budget.cost_usd: $10.20 of $10.00 are spent or in flight"


def test_the_first_round_starts_and_names_the_bound_that_is_known():
    decision = may_start(Decimal(1), spent("0"), forecast(measured=[]))
    assert decision.may_start
    assert decision.sentence == (
        "budget.cost_usd: $1.00 of $1.00 are left, nothing is measured yet: a round of 4 costs $4.00 "
        "if each trial takes all of trial.timeout"
    )


def test_the_first_round_does_not_start_on_an_empty_budget():
    assert not may_start(Decimal(0), spent("0"), forecast(measured=[])).may_start


def test_attempts_without_a_price_are_not_free():
    """Each counts as a trial of the upper forecast, 0.30."""
    decision = may_start(Decimal(10), spent("8.3", without_price=2), forecast())
    assert not decision.may_start
    assert "$1.10 of $10.00 are left" in decision.sentence
    assert decision.sentence.endswith("(2 attempts without a price counted as a trial each)")


def test_without_a_price_for_the_machine_no_round_starts():
    decision = may_start(Decimal(10), spent("0"), None)
    assert not decision.may_start
    assert "price" in decision.sentence
