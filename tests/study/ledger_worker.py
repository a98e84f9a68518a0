"""A process that asks or tells, for tests that race or kill it. Prints one JSON line for each call.

It begins when a line comes in, so that several can begin together.

python ledger_worker.py ask URL STUDY ROUNDS COUNT [STEP]
python ledger_worker.py tell URL STUDY ROUNDS COUNT VALUE

`ask` asks every round in order. `tell` waits until a round is handed out and tells VALUE as the outcome of each trial.
With STEP the process stops itself (SIGSTOP) when the ledger gets there, so that the test decides what happens to it.
"""

import json
import os
import signal
import sys
import time

from cases import outcome, spec

from hpo_tasks.errors import UnavailableError
from hpo_tasks.study.ledger import Ledger

SPEC = spec(
    search={
        "x": {"type": "float", "low": 0.0, "high": 1.0},
        "kind": {"type": "categorical", "choices": ["a", "b", None]},
        "depth": {"type": "int", "low": 1, "high": 2**40},
        "drop": {"type": "float", "low": 0.0, "high": 0.5, "when": {"kind": "b"}},
        "fixed": {"type": "fixed", "value": "f"},
    },
    budget={"trials": 10_000},
)
LOCK_TIMEOUT_S = 600.0  # many processes on few cores
PATIENCE_S = 600.0
POLL_S = 0.02


def patiently(call):
    """Repeat while the database is away, as a task's retries do."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return call()
        except UnavailableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_S)


def say(**document):
    print(json.dumps(document), flush=True)


def ask(ledger, study, rounds, count):
    for round_ in range(rounds):
        asked = patiently(lambda r=round_: ledger.ask(study, SPEC, r, count))
        say(round=round_, trials=[[a.number, a.slot, a.params, a.seed] for a in asked])


def tell(ledger, study, rounds, count, value):
    for round_ in range(rounds):
        trials = []
        deadline = time.monotonic() + PATIENCE_S
        while len(trials) < count and time.monotonic() < deadline:
            trials = [t for t in patiently(lambda: ledger.trials(study)) if t.round == round_]
            time.sleep(0 if len(trials) == count else 5 * POLL_S)
        outcomes = [outcome(trial, study, values={"loss": value}) for trial in trials]
        report = patiently(lambda o=outcomes: ledger.tell(study, o))
        keys = {
            name: [key.slot for key in getattr(report, name)] for name in ("told", "already", "mismatched")
        }
        say(round=round_, value=value, **keys)


def main(action, url, study, rounds, count, *rest):
    step = rest[-1] if rest and not rest[-1].replace(".", "").isdigit() else None

    def at(name):
        if name == step:
            os.kill(os.getpid(), signal.SIGSTOP)

    def open_ledger():
        return Ledger(
            url, lock_timeout_s=LOCK_TIMEOUT_S, lock_idle_s=float(os.environ.get("LOCK_IDLE_S", "60")), at=at
        )

    ledger = patiently(open_ledger)
    say(ready=True)
    sys.stdin.readline()
    if action == "ask":
        ask(ledger, study, int(rounds), int(count))
    else:
        tell(ledger, study, int(rounds), int(count), float(rest[0]))


if __name__ == "__main__":
    main(*sys.argv[1:])
