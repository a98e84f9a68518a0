"""Processes killed, stopped and cut off at chosen steps, on real databases: counts and parameters hold."""

import signal
import threading

import optuna
import psycopg
import pytest
import sqlalchemy
from cases import STUDY, header, outcome
from ledger_worker import SPEC
from processes import kill, lines, run, wait_until, wait_until_stopped

from hpo_tasks.errors import UnavailableError
from hpo_tasks.study import write
from hpo_tasks.study.ledger import Ledger
from hpo_tasks.study.verdict import judge

COUNT = 4


@pytest.fixture
def ledger(url):
    with Ledger(url) as opened:
        opened.create(header(SPEC))
        yield opened


def handed_out(line):
    return [tuple(trial[:2]) for trial in line["trials"]]


def undisturbed(tmp_path):
    """What rounds 0 and 1 are when nothing happens."""
    with Ledger(f"sqlite:///{tmp_path}/undisturbed.db") as ledger:
        ledger.create(header(SPEC))
        return [[a.params for a in ledger.ask(STUDY, SPEC, round_, COUNT)] for round_ in (0, 1)]


def test_sigkill_between_two_slots(ledger, url, tmp_path):
    """The process dies after the second of four trials; the lock dies with it and the next ask fills the rest."""
    worker = run("ask", url, STUDY, 1, COUNT, "ask.created.1")
    wait_until_stopped(worker)
    assert len(ledger.trials(STUDY)) == 2
    kill(worker)
    asked = ledger.ask(STUDY, SPEC, 0, COUNT)
    assert [a.params for a in asked] == undisturbed(tmp_path)[0]
    assert [(t.number, t.slot) for t in ledger.trials(STUDY)] == [(n, n) for n in range(COUNT)]


def test_sigkill_between_two_outcomes(ledger, url):
    ledger.ask(STUDY, SPEC, 0, COUNT)
    worker = run("tell", url, STUDY, 1, COUNT, 1.0, "tell.recorded.1")
    wait_until_stopped(worker)
    assert [trial.state for trial in ledger.trials(STUDY)] == ["complete"] * 2 + ["running"] * 2
    kill(worker)
    (line,) = lines(run("tell", url, STUDY, 1, COUNT, 1.0))
    assert (line["already"], line["told"]) == ([0, 1], [2, 3])
    assert {trial.state for trial in ledger.trials(STUDY)} == {"complete"}


def test_a_zombie_that_lost_its_lock_does_no_harm(postgres_url, tmp_path):
    """SIGSTOP past the lock's idle limit, another ask meanwhile, SIGCONT: both were handed what is stored."""
    with Ledger(postgres_url) as ledger:
        ledger.create(header(SPEC))
        zombie = run("ask", postgres_url, STUDY, 2, COUNT, "ask.created.0", LOCK_IDLE_S="0.5")
        wait_until_stopped(zombie)
        asked = [ledger.ask(STUDY, SPEC, round_, COUNT) for round_ in (0, 1)]
        zombie.send_signal(signal.SIGCONT)
        assert [handed_out(line) for line in lines(zombie)] == [
            [(a.number, a.slot) for a in r] for r in asked
        ]
        assert [[a.params for a in r] for r in asked] == undisturbed(tmp_path)
        assert [(t.round, t.slot) for t in ledger.trials(STUDY)] == [
            (r, s) for r in (0, 1) for s in range(COUNT)
        ]


def test_a_reopening_does_not_undo_an_outcome_that_is_being_recorded(postgres_url):
    """A tell takes no lock of the study: its transaction may be open while reopen looks at the closed trial."""
    with Ledger(postgres_url) as ledger:
        ledger.create(header(SPEC))
        asked = ledger.ask(STUDY, SPEC, 0, COUNT)
        ledger.close(STUDY, "stopped")
        stored = ledger._get(STUDY)
        trial = ledger._trials(stored)[0]
        verdict = judge(stored.header, trial.record, outcome(asked[0], values={"loss": 1.0}))
        reopening = threading.Thread(target=ledger.reopen, args=(STUDY, 0))
        with ledger._database.writing() as telling:
            assert write.finish(telling, trial.row, verdict)
            reopening.start()
            wait_until(lambda: waits_for_a_row(postgres_url), "reopen has come to the trial")
        reopening.join()
        assert [t.state for t in ledger.trials(STUDY)] == ["complete", *["running"] * (COUNT - 1)]


def waits_for_a_row(url):
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple')"
        ).fetchone()[0]


def test_the_lock_holder_s_connection_is_terminated(postgres_url):
    """The asker notices before its next write, and its retry goes on."""
    with Ledger(postgres_url) as ledger:
        ledger.create(header(SPEC))
        terminated = []

        def terminate(step):
            if step == "ask.created.1" and not terminated:
                with psycopg.connect(postgres_url) as connection:
                    found = connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
                    )
                    terminated.extend(found.fetchall())

        with Ledger(postgres_url, at=terminate) as victim:
            with pytest.raises(UnavailableError, match="lock was lost"):
                victim.ask(STUDY, SPEC, 0, COUNT)
            assert terminated == [(True,)]
            assert len(ledger.trials(STUDY)) == 2
            assert len(victim.ask(STUDY, SPEC, 0, COUNT)) == COUNT
        assert [t.number for t in ledger.trials(STUDY)] == list(range(COUNT))


def test_two_askers_without_any_lock_are_sorted_out_by_the_sweep(url):
    """What remains when both locks fail: the second asker runs whole inside the first one's ask."""
    with Ledger(url) as inner:
        inner.create(header(SPEC))
        inner._database.lock = unlocked
        results = []

        def intrude(step):
            if step == "ask.created.1":
                results.append(inner.ask(STUDY, SPEC, 0, COUNT))

        with Ledger(url, at=intrude) as outer:
            results.append(outer.ask(STUDY, SPEC, 0, COUNT))
            assert results[0] == results[1] == outer.ask(STUDY, SPEC, 0, COUNT)
            assert [trial.slot for trial in outer.trials(STUDY)] == list(range(COUNT))
            everything = optuna.load_study(study_name=STUDY, storage=outer._database.optuna).trials
        assert [t.state.name for t in everything] == ["RUNNING"] * COUNT + ["FAIL"] * (COUNT - 2)


def unlocked(name):
    """A lock that holds nothing."""
    del name
    return Unlocked()


class Unlocked:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def confirm(self):
        return None


def test_the_server_crashes_again_and_again(postgres, postgres_url):
    """`pg_ctl restart -m immediate` in a loop while three processes ask and tell: each trial recorded once."""
    rounds = 3
    with Ledger(postgres_url) as ledger:
        ledger.create(header(SPEC))
    workers = [
        run("ask", postgres_url, STUDY, rounds, COUNT),
        run("tell", postgres_url, STUDY, rounds, COUNT, 1.0),
        run("tell", postgres_url, STUDY, rounds, COUNT, 1.0),
    ]
    ended = threading.Event()
    restarts = 0
    while not ended.is_set():
        recorded = rows(postgres_url)
        postgres.restart()
        restarts += 1
        wait_until(lambda n=recorded: rows(postgres_url) > n or all_ended(workers), "progress after a crash")
        if all_ended(workers):
            ended.set()
    asked, *told = [lines(worker) for worker in workers]
    with Ledger(postgres_url) as ledger:
        trials = ledger.trials(STUDY)
        everything = optuna.load_study(study_name=STUDY, storage=ledger._database.optuna).trials
    assert restarts >= 3
    assert [(t.round, t.slot, t.state) for t in trials] == [
        (r, s, "complete") for r in range(rounds) for s in range(COUNT)
    ]
    assert [number for line in asked for number, _ in handed_out(line)] == [t.number for t in trials]
    assert [t.number for t in everything] == list(range(len(everything)))
    assert "RUNNING" not in {t.state.name for t in everything}
    assert not any(line["mismatched"] for lines_ in told for line in lines_)


def rows(url):
    """How much is recorded: trials, and outcomes among them."""
    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    try:
        with engine.connect() as connection:
            return connection.execute(sqlalchemy.text("SELECT count(*) FROM trial_user_attributes")).scalar()
    finally:
        engine.dispose()


def all_ended(workers):
    return all(worker.poll() is not None for worker in workers)
