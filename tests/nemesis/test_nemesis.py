"""A short campaign against a real embedded Airflow: `make nemesis` is the long one."""

import pytest

from tests.nemesis.campaign import Plan, run

pytestmark = pytest.mark.airflow
DECK = dict.fromkeys(("trial", "runner", "trial-parent", "task", "pause-trial"), 1)


def test_studies_live_through_a_schedule_of_kills(tmp_path):
    """Two studies at once: nothing lost, twice, running for ever or left, and all are a success."""
    plan = Plan("embedded", seed=3, kills=4, studies=2, trials=16, work_s=0.3, deck=DECK, pause_s=(0.5, 3.0))
    figures = run(plan, tmp_path, print)
    assert {kind: found for kind, found in figures["violations"].items() if found} == {}
    assert (figures["kills"], figures["studies"] >= 2) == (4, True)
