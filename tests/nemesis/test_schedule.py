"""The schedule, the recoveries and the sums: pure parts of the nemesis."""

import json
from collections import Counter
from itertools import islice

from tests.nemesis.campaign import EmbeddedNemesis
from tests.nemesis.deeds import PAUSE, CeleryNemesis
from tests.nemesis.figures import GOAL, SCHEDULER_KILLS, STACKS, add, reached, table, totals
from tests.nemesis.oracle import KINDS
from tests.nemesis.recovery import Progress, Recovery, recovery
from tests.nemesis.schedule import steps

DECK = {"trial": 3, "scheduler": 1}


def test_a_seed_gives_the_same_steps_again():
    first, again, other = (list(islice(steps(seed, DECK), 40)) for seed in (5, 5, 6))
    assert first == again != other


def test_rare_deeds_come_as_often_as_they_are_in_the_deck():
    dealt = Counter(step.deed for step in islice(steps(5, DECK), 40))
    assert dealt == {"trial": 30, "scheduler": 10}


def test_both_decks_have_25_kills_two_of_them_of_the_scheduler():
    """So that 100 kills are eight of the scheduler."""
    for nemesis in (EmbeddedNemesis, CeleryNemesis):
        kills = {deed: count for deed, count in nemesis.deck.items() if not deed.startswith(PAUSE)}
        assert sum(kills.values()) == 25
        assert kills["scheduler"] == 2


def test_recovery_is_the_first_task_queued_and_the_last_run_to_go_on():
    quick = Progress(0, 100, queued=[12, 30], moments=[12, 13, 30])
    slow = Progress(0, 100, queued=[25], moments=[9, 25, 26])
    over = Progress(0, 5, queued=[4], moments=[4])
    assert recovery(10, [quick, slow, over]) == Recovery(queued_s=2, every_run_s=15)
    assert recovery(200, [quick, slow]) is None


def test_a_run_that_only_had_to_end_went_on_when_it_ended():
    assert recovery(90, [Progress(0, 100, queued=[1], moments=[1])]) == Recovery(10, 10)


def row(stack, **changes):
    return {
        "stack": stack, "seed": 1, "kills": 100, "studies": 10, "trials": 500, "pauses": 3, "trained_again": 5,
        "starts_beyond_first": 40, "violations": {kind: [] for kind in KINDS}, "duration_s": 60,
        "kills_by_deed": {"scheduler": SCHEDULER_KILLS, "trial": 92},
        "recovery_s": {"scheduler": {"times": 8, "queued": 30.5, "every_run": 60.0}}, **changes,
    }  # fmt: skip


def test_the_goal_needs_enough_of_everything_on_both_stacks():
    both = [row(stack) for stack in STACKS]
    assert reached(totals(both))
    assert not reached(totals([row("celery"), row("celery")]))
    for name, goal in GOAL.items():
        assert not reached(totals([both[0], row("celery", **{name: goal // 2 - 1})]))


def test_sums_and_table_show_what_was_violated(tmp_path):
    path = tmp_path / "nemesis.json"
    add(path, row("embedded"))
    add(path, row("celery", violations={**{kind: [] for kind in KINDS}, "lost": ["study: (0, 0) is lost"]}))
    results = json.loads(path.read_text())
    assert results["totals"]["violations"]["lost"] == 1
    assert results["totals"]["trained_again_share"] == 0.01
    assert results["totals"]["scheduler"]["celery"]["longest_until_queued_s"] == 30.5
    assert len(table(results).splitlines()) == 4
