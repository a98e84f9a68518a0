"""How long trials take with a thread count that was or was not measured."""

import pytest

from hpo_tasks.study.trial_times import MeasuredTimes, NoTimes, Times, times_for

TWO = MeasuredTimes(2, (60.0, 50.0, 70.0))
FOUR = MeasuredTimes(4, (40.0, 30.0, 80.0))


def test_measured_times_are_taken_as_they_are_and_together():
    assert times_for(2, "m5.large", [TWO, FOUR, TWO]) == Times((60.0, 50.0, 70.0, 60.0, 50.0, 70.0))


def test_a_machine_with_measurements_of_its_own_uses_no_others():
    own = MeasuredTimes(2, (6.0,), "c7i.large")
    assert times_for(2, "c7i.large", [TWO, own]) == Times((6.0,))
    assert times_for(2, "m5.large", [TWO, own]) == Times(TWO.seconds)
    assert isinstance(times_for(4, "c7i.large", [own, TWO, FOUR]), NoTimes)


@pytest.mark.parametrize(
    ("threads", "nearest", "factor"), [(8, FOUR, 30 / 40), (1, TWO, 100 / 60), (1000, FOUR, 20.08 / 40)]
)
def test_two_measured_counts_scale_to_a_third_by_amdahls_law(threads, nearest, factor):
    """Medians 60 and 40 s with 2 and 4 threads: 20 s serial, 80 s parallel. The nearest count's times are scaled."""
    found = times_for(threads, "m5.large", [TWO, FOUR])
    assert found.seconds == pytest.approx([seconds * factor for seconds in nearest.seconds])
    assert found.notes == (f"times of {nearest.threads} threads scaled by {factor:.2f}",)


def test_threads_that_do_not_help_are_not_taken_for_ones_that_do_harm():
    found = times_for(8, "m5.large", [MeasuredTimes(1, (50.0,)), MeasuredTimes(4, (60.0,))])
    assert found.seconds == (60.0,)


def test_threads_that_help_beyond_their_number_help_by_their_number():
    found = times_for(8, "m5.large", [MeasuredTimes(1, (100.0,)), MeasuredTimes(4, (20.0,))])
    assert found.seconds == (10.0,)


def test_one_measured_count_needs_the_share_that_is_parallel():
    """0.8 of a one-thread trial: 0.6 with 2 threads, 0.4 with 4."""
    assert times_for(4, "m5.large", [TWO], 0.8).seconds == pytest.approx((40.0, 100 / 3, 140 / 3))
    unknown = times_for(4, "m5.large", [TWO])
    assert unknown == NoTimes(
        "no trial was measured with 4 threads, only with 2: measure another count, or state parallel_share"
    )


def test_measurements_of_another_machine_are_none():
    unknown = times_for(2, "m5.large", [MeasuredTimes(2, (6.0,), "c7i.large")])
    assert unknown == NoTimes("no trial was measured on m5.large: add it to measured, or one without machine")
