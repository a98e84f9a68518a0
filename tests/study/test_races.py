"""Many processes ask and tell at once: every key once, numbers contiguous, nothing changed once it was recorded.

`HPO_RACE_ROUNDS` sets the size; `make races` runs 200 rounds.
"""

import json
import os
from collections import Counter

import optuna
import pytest
from cases import STUDY, header
from ledger_worker import SPEC
from processes import lines, start, together

from hpo_tasks.study.ledger import Ledger

ROUNDS = int(os.environ.get("HPO_RACE_ROUNDS", "3"))
COUNT = 8
ASKERS = TELLERS = 4


@pytest.mark.races
def test_askers_and_tellers_at_once(url):
    """Four processes ask the same rounds, four tell each trial, each teller another value."""
    with Ledger(url) as ledger:
        ledger.create(header(SPEC))
    askers = [start("ask", url, STUDY, ROUNDS, COUNT) for _ in range(ASKERS)]
    tellers = [start("tell", url, STUDY, ROUNDS, COUNT, float(n)) for n in range(TELLERS)]
    together([*tellers, *askers])
    asked = [lines(process) for process in askers]
    told = [line for process in tellers for line in lines(process)]
    with Ledger(url) as ledger:
        trials = ledger.trials(STUDY)
        in_optuna = optuna.load_study(study_name=STUDY, storage=ledger._database.optuna).trials

    # Every key once, numbers contiguous, none running.
    assert [(t.round, t.slot) for t in trials] == [(r, s) for r in range(ROUNDS) for s in range(COUNT)]
    assert [t.number for t in in_optuna] == [t.number for t in trials] == list(range(ROUNDS * COUNT))
    assert {t.state.name for t in in_optuna} == {"COMPLETE"}

    # Every asker was handed what is stored.
    stored = [
        {
            "round": round_,
            "trials": [
                json.loads(json.dumps([t.number, t.slot, t.params, t.seed]))
                for t in trials
                if t.round == round_
            ],
        }
        for round_ in range(ROUNDS)
    ]
    assert asked == [stored] * ASKERS

    # One teller recorded each trial, its value is there, and the others were told that theirs is not.
    winners = {(line["round"], slot): line["value"] for line in told for slot in line["told"]}
    assert winners == {(t.round, t.slot): t.values["loss"] for t in trials}
    assert [t.values["loss"] for t in trials] == [t.value for t in in_optuna]
    verdicts = Counter((line["round"], slot) for line in told for slot in line["mismatched"])
    assert set(verdicts.values()) == {TELLERS - 1}
    assert not any(line["already"] for line in told)
