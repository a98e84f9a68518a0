"""The phases of a trial account for all of its time, whatever moments are unknown."""

import pytest

from benchmarks.measures.airflow_run import Task
from benchmarks.measures.trial_phases import PHASES, at_once, durations, free_since

LAST = len(PHASES)


def test_each_phase_is_the_time_between_two_moments():
    found = durations([float(moment) for moment in range(LAST + 1)])
    assert list(found) == list(PHASES)
    assert set(found.values()) == {1.0}


def test_an_unknown_moment_gives_its_time_to_the_next_phase():
    moments = [float(moment) for moment in range(LAST + 1)]
    moments[3] = None
    found = durations(moments)
    assert list(found.values())[2:4] == [0.0, 2.0]
    assert sum(found.values()) == LAST


def test_a_moment_before_the_one_before_it_counts_for_nothing():
    """A process that was there before the attempt was claimed, or two clocks that differ."""
    moments = [float(moment) for moment in range(LAST + 1)]
    moments[3] = 0.5
    found = durations(moments)
    assert min(found.values()) == 0.0
    assert sum(found.values()) == LAST


@pytest.mark.parametrize("missing", [0, LAST])
def test_without_the_first_or_the_last_moment_there_is_no_whole(missing):
    moments = [float(moment) for moment in range(LAST + 1)]
    moments[missing] = None
    with pytest.raises(ValueError, match="first and the last"):
        durations(moments)


def task(index, queued, ended):
    return Task("round_00.train", index, "success", queued, queued, ended)


def test_a_task_takes_the_place_that_is_free_for_longest():
    tasks = [task(0, 1.0, 5.0), task(1, 1.0, 3.0), task(2, 3.5, 6.0), task(3, 5.5, 7.0)]
    assert at_once(tasks) == 2
    assert free_since(tasks, 2, begin=0.5) == {0: 0.5, 1: 0.5, 2: 3.0, 3: 5.0}
