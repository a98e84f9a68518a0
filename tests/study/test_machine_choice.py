"""`hpo plan` against calculations by hand, to the cent.

The study of most tests: 8 trials in batches of 4, 120 s until a machine is up, 30 s from a round to the next. With 16
threads the trials of a round take 1000, 2000, 1500 and 800 s, with 96 threads 40 % less. An m5.24xlarge costs 4.608
dollars an hour, six times as much as an m5.4xlarge with 0.768.
"""

from decimal import Decimal

import pytest

from hpo_tasks.prices.table import load_prices
from hpo_tasks.spec.model import Resources
from hpo_tasks.spec.plan_file import MachineChoice
from hpo_tasks.study.cost import cents
from hpo_tasks.study.machine_choice import StudyPlan, forecast, recommend
from hpo_tasks.study.trial_times import MeasuredTimes

PRICES = load_prices()
MEASURED = [
    MeasuredTimes(16, (1000.0, 2000.0, 1500.0, 800.0)),
    MeasuredTimes(96, (600.0, 1200.0, 900.0, 480.0)),
]
LARGE = MachineChoice(type="m5.24xlarge", threads=96)
SMALL = MachineChoice(type="m5.4xlarge", threads=16)
TWO_SMALL = MachineChoice(type="m5.4xlarge", count=2, threads=16)
HOUR = 3600


def study(**changes):
    facts = {
        "trials": 8,
        "batch_size": 4,
        "resources": Resources(),
        "region": "us-east-1",
        "round_overhead_s": 30.0,
        "startup_s": 120.0,
        **changes,
    }
    return StudyPlan(**facts)


def of(choice, measured=MEASURED, **changes):
    return forecast(study(**changes), choice, measured, PRICES)


def facts(found):
    return int(found.wall_s), cents(found.cost_usd)


def test_one_large_machine():
    """Rounds of 3180 s: 120 + 2 × (3180 + 30) = 6540 s; 6540 / 3600 × 4.608 = 8.3712."""
    assert facts(of(LARGE)) == (6540, Decimal("8.37"))


def test_one_small_machine():
    """Rounds of 5300 s: 120 + 2 × 5330 = 10780 s; 10780 / 3600 × 0.768 = 2.2997."""
    assert facts(of(SMALL)) == (10780, Decimal("2.30"))


def test_two_small_machines_pay_for_the_slot_that_waits_for_the_rounds_end():
    """1000 then 1500 s on one, 2000 then 800 s on the other: rounds of 2800 s; 120 + 2 × 2830 = 5780 s.

    2 × 5780 / 3600 × 0.768 = 2.4661. Busy 2 × 5300 of 2 × 5780 s.
    """
    found = of(TWO_SMALL)
    assert facts(found) == (5780, Decimal("2.47"))
    assert found.idle_share == pytest.approx(1 - 10600 / 11560)


def test_two_small_machines_beat_a_large_one_with_40_percent_less_time_at_six_times_the_price():
    forecasts = [of(choice) for choice in (LARGE, SMALL, TWO_SMALL)]
    found = recommend(forecasts, None)
    assert found.forecast.choice == TWO_SMALL
    assert found.reason == "the best value: the least product of dollars and hours"
    assert found.compared == (
        "1 × m5.24xlarge, 1 slot × 96 threads takes 13 % longer at 3.4 times the price",
        "1 × m5.4xlarge, 1 slot × 16 threads takes 87 % longer at 93 % of the price",
    )


@pytest.mark.parametrize(
    ("deadline_s", "choice", "reason"),
    [
        (4 * HOUR, SMALL, "the cheapest of 3 choices that keep the deadline of 4h"),
        (10780, SMALL, "the cheapest of 3 choices that keep the deadline of 2h59m40s"),
        (10779, TWO_SMALL, "the cheapest of 2 choices that keep the deadline of 2h59m39s"),
        (6000, TWO_SMALL, "the only choice that keeps the deadline of 1h40m"),
        (HOUR, TWO_SMALL, "no choice keeps the deadline of 1h; this is the fastest"),
    ],
)
def test_with_a_deadline_the_cheapest_that_keeps_it(deadline_s, choice, reason):
    found = recommend([of(each) for each in (LARGE, SMALL, TWO_SMALL)], deadline_s)
    assert (found.forecast.choice, found.reason) == (choice, reason)


def test_of_equals_the_first():
    forecasts = [of(SMALL), of(SMALL)]
    assert recommend(forecasts, None).forecast is forecasts[0]
    (compared,) = recommend(forecasts, HOUR * 9).compared
    assert compared.endswith("takes as long at the same price")


def test_slots_of_one_machine_share_its_price():
    """6 slots × 16 threads: a round takes its longest trial, 2000 s; 120 + 2 × 2030 = 4180 s × 4.608 / h = 5.35."""
    found = of(MachineChoice(type="m5.24xlarge", slots=6, threads=16))
    assert facts(found) == (4180, Decimal("5.35"))
    assert found.idle_share == pytest.approx(1 - 10600 / (6 * 4180))


def test_the_last_round_may_be_smaller_and_the_times_go_on_in_turn():
    """5 trials: 5300 s, then the first time again, 1000 s."""
    assert int(of(SMALL, trials=5).wall_s) == 120 + 5300 + 30 + 1000 + 30


def test_a_round_is_as_long_as_the_trial_that_ends_last_not_as_the_sum():
    """A long trial at the end of a round: 10 s on one slot, then 100 s beside 10 s."""
    found = of(TWO_SMALL, [MeasuredTimes(16, (10.0, 10.0, 10.0, 100.0))], startup_s=0, round_overhead_s=0)
    assert int(found.wall_s) == 2 * 110


def test_spot_costs_the_spot_price_and_says_what_it_leaves_out():
    found = of(MachineChoice(type="m5.4xlarge", threads=16, market="spot"))
    assert cents(found.cost_usd) == Decimal("0.92")  # 0.4 of 2.2997
    assert found.notes == ("interruptions left out", "price of 2026-01-19, unverified")


def test_sagemaker_is_paid_by_the_trial_and_each_trial_waits_for_its_machine():
    """4 side by side: rounds of 120 + 2000 s, 2 × 2150 s; 10600 s × 0.922 / 3600 = 2.7148; nothing idle is paid."""
    found = of(MachineChoice(type="ml.m5.4xlarge", count=4, threads=16))
    assert facts(found) == (4300, Decimal("2.71"))
    assert found.idle_share == 0


def test_an_instance_is_paid_for_a_minute_at_least():
    found = of(SMALL, [MeasuredTimes(16, (1.0,))], trials=1, startup_s=0, round_overhead_s=0)
    assert found.wall_s == 1
    assert found.cost_usd == Decimal("0.768") / 60


@pytest.mark.parametrize(
    ("choice", "resources", "problem"),
    [
        (
            MachineChoice(type="m5.4xlarge", slots=2, threads=16),
            Resources(),
            "2 slots would need 32 threads, m5.4xlarge has 16 vCPUs",
        ),
        (
            MachineChoice(type="g5.12xlarge", slots=5, threads=4),
            Resources(gpus=1),
            "5 slots would need 5 GPUs, g5.12xlarge has 4 GPUs",
        ),
        (
            MachineChoice(type="m5.4xlarge", slots=4, threads=4),
            Resources(memory_bytes=20 << 30),
            "4 slots would need 80.0 GiB, m5.4xlarge has 64 GiB",
        ),
    ],
)
def test_slots_that_do_not_fit_on_the_machine_have_no_forecast(choice, resources, problem):
    found = of(choice, resources=resources)
    assert (found.wall_s, found.cost_usd, found.problem) == (None, None, problem)


def test_a_thread_count_that_was_not_measured_has_no_forecast_but_a_reason():
    found = of(MachineChoice(type="m5.4xlarge", threads=8), MEASURED[:1])
    assert found.wall_s is None
    assert found.problem.startswith("no trial was measured with 8 threads")


def test_a_machine_without_a_price_has_its_time_and_is_never_recommended():
    found = of(MachineChoice(type="lab.box", threads=16))
    assert (int(found.wall_s), found.cost_usd) == (10780, None)
    assert "no price" in found.problem
    assert recommend([found], None) is None
    assert recommend([found, of(LARGE)], None).forecast.choice == LARGE
