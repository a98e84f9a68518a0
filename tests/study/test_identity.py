"""Ids and seeds: the same in every process, different where they must be."""

import re

from hpo_tasks.study.identity import round_seed, study_id, trial_seed


def test_id_is_short_lower_case_and_stable():
    """A stored study must be found again by every later release."""
    assert study_id("prod", "hpo_demo", "scheduled__2026-01-01", 0) == "es7fuu2xg76ln3b5s4ldnhbtqa"


def test_id_depends_on_each_part_and_on_where_one_ends():
    ids = {
        study_id("prod", "dag", "run", 0),
        study_id("dev", "dag", "run", 0),
        study_id("prod", "dag2", "run", 0),
        study_id("prod", "dag", "run", 1),
        study_id("prod", "dagr", "un", 0),
        study_id("prod", 'dag","run', "", 0),
        study_id("prod", "dag", "Ünï/ко\n", 0),
    }
    assert len(ids) == 7
    assert all(re.fullmatch("[a-z2-7]{26}", each) for each in ids)


def test_seeds_differ_by_purpose_round_and_slot_and_fit_31_bits():
    seeds = {round_seed(7, "s", r) for r in range(50)}
    seeds |= {trial_seed(7, "s", r, slot) for r in range(50) for slot in range(20)}
    seeds |= {round_seed(8, "s", 0), round_seed(7, "t", 0)}
    assert len(seeds) == 50 + 1000 + 2
    assert all(0 <= seed < 2**31 for seed in seeds)
