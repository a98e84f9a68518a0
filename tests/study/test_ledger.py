"""Ask and tell on both databases: repeatable, recorded once, nothing left running."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import optuna
import pytest
import sqlalchemy
from cases import CONDITIONAL, STUDY, header, outcome, spec

from hpo_tasks.errors import ConflictError, InputError, IntegrityError, UnavailableError
from hpo_tasks.study import ledger as ledger_module
from hpo_tasks.study import read, tables, write
from hpo_tasks.study.ledger import Ledger
from hpo_tasks.study.plan import Batch, Finished
from hpo_tasks.study.propose import History, propose
from hpo_tasks.trial.layout import SlotKey

SAMPLERS = ["random", "qmc", "tpe", "cmaes", "nsga2"]


@pytest.fixture
def ledger(url):
    with Ledger(url) as opened:
        yield opened


def keys(*slots, round_=0):
    return tuple(SlotKey(STUDY, round_, slot) for slot in slots)


def study_with_a_round(ledger, of=None, count=4):
    of = of or spec(search=CONDITIONAL)
    ledger.create(header(of))
    return of, ledger.ask(STUDY, of, 0, count)


def test_what_ask_hands_out_is_what_is_stored(ledger):
    _, asked = study_with_a_round(ledger)
    trials = ledger.trials(STUDY)
    assert [(a.number, a.round, a.slot, a.params, a.seed) for a in asked] == [
        (t.number, t.round, t.slot, t.params, t.seed) for t in trials
    ]
    assert [asked_.slot for asked_ in asked] == [0, 1, 2, 3]
    assert all(a.params["kind"] == "k" for a in asked)
    assert {t.state for t in trials} == {"running"}
    optuna_sees = optuna.load_study(study_name=STUDY, storage=ledger._database.optuna).trials
    assert [{**t.params, "kind": "k"} for t in optuna_sees] == [a.params for a in asked]


def test_parameters_of_every_type_come_back_exactly(ledger):
    of = spec(
        search={
            "big": {"type": "int", "low": 2**53 - 5, "high": 2**53 - 1},
            "tiny": {"type": "float", "low": 5e-324, "high": 1.0, "log": True},
            "text": {"type": "categorical", "choices": ["$(reboot)", "a\nb", "{{ 7*7 }}", "%s{0}", "", "None", "\u0000x"]},
            "mixed": {"type": "categorical", "choices": [None, True, 2, 3.5, "None"]},
            "fixed": {"type": "fixed", "value": -0.0},
        }
    )  # fmt: skip
    of, asked = study_with_a_round(ledger, of, 24)
    again = ledger.ask(STUDY, of, 0, 24)
    assert [json.dumps(a.params) for a in again] == [json.dumps(a.params) for a in asked]
    assert len({json.dumps(a.params["mixed"]) for a in asked}) == 5


def test_asking_again_gives_the_same_list_and_no_new_trial(ledger):
    of, asked = study_with_a_round(ledger)
    ledger.tell(STUDY, [outcome(a) for a in asked])
    later = ledger.ask(STUDY, of, 1, 4)
    assert ledger.ask(STUDY, of, 0, 4) == asked
    assert ledger.ask(STUDY, of, 0, 9) == asked  # the batch size was changed since
    assert ledger.ask(STUDY, of, 1, 2) == later
    assert [trial.number for trial in ledger.trials(STUDY)] == list(range(8))


def test_create_is_repeatable_and_keeps_what_is_there(ledger):
    of, asked = study_with_a_round(ledger)
    created_at = ledger.study(STUDY).created_at
    ledger.create(header(of, name="another name"))
    record = ledger.study(STUDY)
    assert (record.header.name, record.created_at) == ("another name", created_at)
    assert len(ledger.trials(STUDY)) == len(asked)


def test_the_same_study_with_another_meaning_is_refused(ledger):
    of, _ = study_with_a_round(ledger)
    with pytest.raises(
        ConflictError, match=r"^epoch: .* exists with other search.x.low, constraints; .*`epoch: 1`"
    ):
        ledger.create(header(of, identity="other"), changed=["search.x.low", "constraints"])
    assert ledger.study(STUDY).header.identity == "digest"


def test_tell_records_once(ledger):
    _, asked = study_with_a_round(ledger)
    outcomes = [outcome(a) for a in asked]
    assert ledger.tell(STUDY, outcomes[:2]).told == keys(0, 1)
    report = ledger.tell(STUDY, outcomes)
    assert (report.told, report.already) == (keys(2, 3), keys(0, 1))
    assert ledger.tell(STUDY, outcomes).already == keys(0, 1, 2, 3)
    for trial, told in zip(ledger.trials(STUDY), outcomes, strict=True):
        assert trial.state == "complete"
        assert trial.values == told.values
        assert trial.duration_s == 60.0
        assert trial.started_at == datetime(2026, 1, 1, tzinfo=UTC)


def test_another_outcome_does_not_replace_the_record(ledger):
    _, asked = study_with_a_round(ledger)
    ledger.tell(STUDY, [outcome(asked[0]), outcome(asked[1], cls="oom", values={}, reason="limit")])
    before = ledger.trials(STUDY)
    report = ledger.tell(
        STUDY, [outcome(asked[0], values={"loss": -9.0}), outcome(asked[0], cls="infra"), outcome(asked[1])]
    )
    assert report.mismatched == keys(0, 1)
    assert (report.told, report.already) == ((), ())
    assert ledger.trials(STUDY) == before


@pytest.mark.parametrize("cls", ["oom", "complete"])
def test_of_two_tellers_at_once_the_first_to_write_wins(url, cls):
    """The second one has looked before the first wrote: it must notice when it writes."""
    with Ledger(url) as first:
        _, asked = study_with_a_round(first, count=1)
        told = outcome(asked[0], cls=cls, values={"loss": 1.0} if cls == "complete" else {}, reason="first")

        def intrude(step):
            if step == "tell.looked":
                assert first.tell(STUDY, [told]).told == keys(0)

        with Ledger(url, at=intrude) as second:
            report = second.tell(STUDY, [outcome(asked[0], cls="user_error", values={}, reason="second")])
        assert (report.told, report.mismatched) == ((), keys(0))
        assert [(trial.cls, trial.reason) for trial in first.trials(STUDY)] == [(cls, "first")]


def test_values_come_back_bit_for_bit(ledger):
    values = [-0.0, 1e-308, 1e307, 0.1 + 0.2, 5e-324, 123456789.123456789]
    _, asked = study_with_a_round(ledger, count=len(values))
    ledger.tell(STUDY, [outcome(a, values={"loss": v}) for a, v in zip(asked, values, strict=True)])
    assert [repr(trial.values["loss"]) for trial in ledger.trials(STUDY)] == [repr(v) for v in values]


def test_what_is_not_acceptable_is_recorded_as_failed(ledger):
    _, asked = study_with_a_round(ledger)
    bad = [float("nan"), "0.5", 10**400, float("inf")]
    report = ledger.tell(STUDY, [outcome(a, values={"loss": v}) for a, v in zip(asked, bad, strict=True)])
    assert [key for key, _ in report.rejected] == list(keys(0, 1, 2, 3))
    trials = ledger.trials(STUDY)
    assert {(trial.state, trial.cls, trial.values) for trial in trials} == {("failed", "user_error", None)}
    assert trials[0].reason == "bad result: loss is nan"


def test_an_outcome_of_no_trial_is_rejected_and_nothing_written(ledger):
    _, asked = study_with_a_round(ledger)
    before = ledger.trials(STUDY)
    report = ledger.tell(STUDY, [outcome(asked[0], slot=77), outcome(asked[1], study="other")])
    assert [reason for _, reason in report.rejected] == ["the study has no such trial"] * 2
    assert ledger.trials(STUDY) == before


def test_thresholds_are_stored_where_samplers_look_and_decide_the_best(ledger):
    of = spec(thresholds={"lat": {"max": 50.0}})
    _, asked = study_with_a_round(ledger, of)
    lats = [90.0, 50.0, 10.0, 51.0]
    ledger.tell(
        STUDY,
        [
            outcome(a, values={"loss": float(i)}, metrics={"lat": lat})
            for i, (a, lat) in enumerate(zip(asked, lats, strict=True))
        ],
    )
    assert [trial.feasible for trial in ledger.trials(STUDY)] == [False, True, True, False]
    assert [trial.slot for trial in ledger.best(STUDY)] == [1]
    assert ledger.studies()[0].best_value == ledger.study(STUDY).best_value == 1.0
    stored = optuna.load_study(study_name=STUDY, storage=ledger._database.optuna).trials
    assert [trial.constraints for trial in stored] == [{"lat.max": lat - 50.0} for lat in lats]


def test_a_trial_is_stored_as_optuna_stores_it(ledger):
    """Row for row: Optuna, its dashboard and its samplers see no difference."""
    of = spec(search=CONDITIONAL)
    ledger.create(header(of))
    (proposal, *_) = propose(of, 1, History(), 4).batch
    template = write.template(
        of, replace(proposal, sampler_attrs={"kept": [1, None]}), SlotKey(STUDY, 0, 0), 4
    )
    study = ledger._get(STUDY).row
    with ledger._database.writing() as connection:
        write.create(connection, study, template)
    ledger._database.optuna.create_new_trial(study, template)

    ours, optunas = optuna.load_study(study_name=STUDY, storage=ledger._database.optuna).trials
    assert (ours.number, optunas.number) == (0, 1)
    optunas.number, optunas._trial_id = ours.number, ours._trial_id
    assert ours == optunas


def insert_duplicate(ledger, slot):
    """What a create_new_trial whose COMMIT was not acknowledged leaves behind: the same trial twice."""
    storage = ledger._database.optuna
    study = storage.get_study_id_from_name(STUDY)
    original = next(t for t in storage.get_all_trials(study) if t.user_attrs[tables.KEY]["slot"] == slot)
    storage.create_new_trial(study, original)


def states(ledger):
    storage = ledger._database.optuna
    return [t.state.name for t in storage.get_all_trials(storage.get_study_id_from_name(STUDY))]


def test_a_duplicate_never_counts_and_the_next_ask_sweeps_it(ledger):
    of, asked = study_with_a_round(ledger)
    insert_duplicate(ledger, 2)
    assert [trial.number for trial in ledger.trials(STUDY)] == [0, 1, 2, 3]
    assert ledger.ask(STUDY, of, 0, 4) == asked
    assert states(ledger) == ["RUNNING"] * 4 + ["FAIL"]
    ledger.tell(STUDY, [outcome(a) for a in asked])
    insert_duplicate(ledger, 1)  # after it was recorded: the duplicate is complete, too
    assert len(ledger.ask(STUDY, of, 1, 4)) == 4
    assert ledger.study(STUDY).counts == {"complete": 4, "running": 4} == ledger.studies()[0].counts
    assert len(ledger.trials(STUDY)) == 8


def test_a_superseded_trial_changes_no_later_proposal(file_url, tmp_path):
    of = spec(search=CONDITIONAL, optimizer={"sampler": "tpe", "seed": 7, "options": {"n_startup_trials": 2}})
    later = []
    for duplicate, where in ((False, file_url), (True, f"sqlite:///{tmp_path}/other.db")):
        with Ledger(where) as ledger:
            _, asked = study_with_a_round(ledger, of)
            if duplicate:
                insert_duplicate(ledger, 0)
            ledger.tell(STUDY, [outcome(a) for a in asked])
            later.append([a.params for a in ledger.ask(STUDY, of, 1, 4)])
    assert later[0] == later[1]


def test_trials_of_other_programs_are_failed_and_not_ours(ledger):
    of, _ = study_with_a_round(ledger)
    stray = optuna.load_study(study_name=STUDY, storage=ledger._database.optuna)
    stray.ask()
    assert len(ledger.trials(STUDY)) == 4
    ledger.ask(STUDY, of, 1, 4)
    assert states(ledger)[4] == "FAIL"
    assert ledger.study(STUDY).counts == {"running": 8}


def test_trials_deleted_by_hand_are_noticed(ledger):
    of, _ = study_with_a_round(ledger)
    with ledger._database.writing() as connection:
        row = connection.execute(
            sqlalchemy.select(tables.trials.c.trial_id).where(tables.trials.c.number == 1)
        ).scalar()
        for table in (*tables.OF_TRIALS, tables.trials):
            connection.execute(sqlalchemy.delete(table).where(table.c.trial_id == row))
    with pytest.raises(IntegrityError, match="deleted or renumbered"):
        ledger.ask(STUDY, of, 1, 4)


def test_a_study_that_was_never_created_is_named(ledger):
    with pytest.raises(IntegrityError, match=f"study {STUDY} is not in .*run `prepare` again"):
        ledger.ask(STUDY, spec(), 0, 1)


def test_close_leaves_nothing_running_and_reopen_goes_on(ledger):
    of, asked = study_with_a_round(ledger)
    ledger.tell(STUDY, [outcome(asked[0])])
    ledger.close(STUDY, "stopped", "wall clock")
    ledger.close(STUDY, "stopped", "wall clock")
    closed = ledger.study(STUDY)
    assert (closed.state, closed.reason, closed.counts) == (
        "stopped",
        "wall clock",
        {"complete": 1, "failed": 3},
    )
    assert {t.cls for t in ledger.trials(STUDY)[1:]} == {"stopped"}
    ledger.reopen(STUDY, 0)
    again = ledger.study(STUDY)
    assert (again.state, again.counts, again.ended_at) == ("running", {"complete": 1, "running": 3}, None)
    assert ledger.ask(STUDY, of, 0, 4) == asked
    assert ledger.tell(STUDY, [outcome(a) for a in asked]).told == keys(1, 2, 3)


def test_a_round_that_is_recorded_opens_no_closed_study(ledger):
    """An ask that was stopped (SIGSTOP) and goes on after the study's end repeats what was done, and changes nothing."""
    _, asked = study_with_a_round(ledger)
    ledger.tell(STUDY, [outcome(a) for a in asked])
    ledger.close(STUDY, "complete", "all are recorded")
    ledger.reopen(STUDY, 0)
    assert ledger.study(STUDY).state == "complete"


def test_an_old_decision_closes_no_study_that_went_on(ledger):
    """A conclude that was stopped (SIGSTOP) after it had decided, and goes on when others have finished the study."""
    _, asked = study_with_a_round(ledger)
    ledger.tell(STUDY, [outcome(asked[0])])
    seen = sum(bool(trial.outcome_digest) for trial in ledger.trials(STUDY))
    ledger.tell(STUDY, [outcome(a) for a in asked])
    ledger.close(STUDY, "complete", "all are recorded", recorded=len(asked))
    with pytest.raises(UnavailableError, match="4 outcomes, not 1"):
        ledger.close(STUDY, "failed", "1 of 4 trials are recorded", recorded=seen)
    assert (ledger.study(STUDY).state, ledger.study(STUDY).reason) == ("complete", "all are recorded")


def test_the_close_sweeps_what_a_late_ask_left(ledger, monkeypatch):
    """Killed between its create and its sweep, after all other asks: the duplicate is not counted."""
    of, asked = study_with_a_round(ledger)
    ledger.tell(STUDY, [outcome(a) for a in asked])
    with monkeypatch.context() as patch:
        patch.setattr(read, "live", lambda _: {})  # it looked before the others had created theirs
        patch.setattr(ledger, "_sweep", lambda _: None)
        ledger.ask(STUDY, of, 0, 4)
    ledger.close(STUDY, "complete", "all are recorded")
    assert ledger.study(STUDY).counts == {"complete": 4}
    assert [listed.counts for listed in ledger.studies()] == [{"complete": 4}]


def test_an_outcome_that_comes_after_the_close_is_not_lost(ledger):
    _, asked = study_with_a_round(ledger)
    told = outcome(asked[0], cls="oom", values={}, reason="limit")
    ledger.tell(STUDY, [told])
    ledger.close(STUDY, "failed", "a task failed")
    report = ledger.tell(STUDY, [told, outcome(asked[1])])
    assert (report.already, report.told) == (keys(0), keys(1))
    assert [trial.cls for trial in ledger.trials(STUDY)] == ["oom", "complete", "stopped", "stopped"]
    ledger.reopen(STUDY, 0)
    assert [trial.state for trial in ledger.trials(STUDY)] == ["failed", "complete", "running", "running"]


def test_a_study_until_its_end(ledger):
    """Rounds as the tasks play them: exactly the budget, the last batch smaller, then complete."""
    of = spec(search=CONDITIONAL, budget={"trials": 10})
    ledger.create(header(of))
    sizes = []
    while isinstance(batch := ledger.next_batch(STUDY, of, round_=len(sizes), max_rounds=9), Batch):
        asked = ledger.ask(STUDY, of, len(sizes), batch.count)
        ledger.tell(STUDY, [outcome(a) for a in asked])
        sizes.append(len(asked))
    assert (sizes, batch) == ([4, 4, 2], Finished("complete", "all 10 trials of the budget are recorded"))


def test_an_exhausted_space_ends_the_study(ledger):
    of = spec(search={"a": {"type": "int", "low": 0, "high": 5}}, budget={"trials": 100})
    ledger.create(header(of))
    for round_, expected in ((0, 4), (1, 2)):
        asked = ledger.ask(STUDY, of, round_, 4)
        assert len(asked) == expected
        ledger.tell(STUDY, [outcome(a, values={"loss": 1.0}) for a in asked])
    finished = ledger.next_batch(STUDY, of, round_=2, max_rounds=50)
    assert finished == Finished("complete", "the space is exhausted: 6 trials are all there are")
    assert ledger.ask(STUDY, of, 2, 4) == []
    assert ledger.next_batch(STUDY, of, round_=1, max_rounds=50).count == 2


def test_an_ask_that_dies_before_it_creates_the_last_trials_does_not_exhaust_the_space(ledger, url):
    """It has noted that there are no others than these; these are still to be tried."""

    def die(step):
        if step == "ask.noted":
            raise KeyboardInterrupt

    of = spec(search={"a": {"type": "int", "low": 0, "high": 5}}, budget={"trials": 100})
    ledger.create(header(of))
    ledger.tell(STUDY, [outcome(a, values={"loss": 1.0}) for a in ledger.ask(STUDY, of, 0, 4)])
    with Ledger(url, at=die) as dying, pytest.raises(KeyboardInterrupt):
        dying.ask(STUDY, of, 1, 4)
    assert isinstance(ledger.next_batch(STUDY, of, round_=1, max_rounds=50), Batch)
    assert len(ledger.ask(STUDY, of, 1, 4)) == 2
    assert isinstance(ledger.next_batch(STUDY, of, round_=2, max_rounds=50), Finished)


def test_the_wall_clock_counts_from_what_is_stored(ledger):
    of = spec(budget={"trials": 100, "wall_clock": 1000.0})
    ledger.create(header(of))
    ledger.tell(STUDY, [outcome(a) for a in ledger.ask(STUDY, of, 0, 4)])
    batch = ledger.next_batch(STUDY, of, round_=1, max_rounds=50)
    assert 900 < batch.deadline_s < 1000


@pytest.mark.parametrize("hours", [-1, 1])
def test_the_wall_clock_is_the_databases(postgres_url, monkeypatch, hours):
    """A host whose clock is an hour off opens rounds and records outcomes at the server's time."""

    class Wrong(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(hours=hours)

    of = spec(budget={"trials": 100, "wall_clock": 1000.0})
    with Ledger(postgres_url) as right:
        right.create(header(of))
        asked = right.ask(STUDY, of, 0, 4)
        monkeypatch.setattr(write, "datetime", Wrong)
        monkeypatch.setattr(ledger_module, "datetime", Wrong)
        right.tell(STUDY, [outcome(a) for a in asked])
        assert 900 < right.next_batch(STUDY, of, round_=1, max_rounds=50).deadline_s < 1000
        right.ask(STUDY, of, 1, 4)
        openings = right.study(STUDY).openings
        assert (openings[1][0] - openings[0][0]).total_seconds() < 600


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_an_ask_killed_anywhere_gives_the_batch_of_an_undisturbed_one(sampler, tmp_path):
    """Three rounds of five with a kill at every step of each ask, against the same rounds without."""
    options = {"nsga2": {"population_size": 4}, "tpe": {"n_startup_trials": 3}}.get(sampler, {})
    of = spec(
        search=CONDITIONAL,
        optimizer={"sampler": sampler, "seed": 7, "options": options},
        constraints=["x + rate <= 1.2"],
    )
    steps = ["locked", "ask.looked", "ask.proposed", *[f"ask.created.{n}" for n in range(5)], "ask.swept"]
    deadly = set()

    def kill(step):
        if step in deadly:
            raise Killed

    handed_out = []
    for kills in ([], steps):
        with Ledger(f"sqlite:///{tmp_path}/{len(kills)}.db", at=kill) as ledger:
            ledger.create(header(of))
            batches = []
            for round_ in range(3):
                for step in kills:
                    deadly.add(step)
                    with pytest.raises(Killed):
                        ledger.ask(STUDY, of, round_, 5)
                    deadly.clear()
                asked = ledger.ask(STUDY, of, round_, 5)
                ledger.tell(STUDY, [outcome(a, values={"loss": a.params["x"]}) for a in asked])
                batches.append([(a.slot, a.params, a.seed) for a in asked])
        handed_out.append(batches)
    assert handed_out[0] == handed_out[1]


def test_deleting_a_study_leaves_the_others(ledger):
    of, _ = study_with_a_round(ledger)
    ledger.create(header(of, study_id="other"))
    ledger.ask("other", of, 0, 2)
    assert ledger.delete(STUDY)
    assert not ledger.delete(STUDY)
    assert [study.study_id for study in ledger.studies()] == ["other"]
    assert len(ledger.trials("other")) == 2
    with ledger._database.reading() as connection:
        assert (
            connection.execute(sqlalchemy.select(sqlalchemy.func.count()).select_from(tables.trials)).scalar()
            == 2
        )


def test_studies_newest_first_and_by_dag(ledger):
    of = spec()
    for number in range(5):
        ledger.create(header(of, study_id=f"s{number}", dag_id=f"hpo_{number % 2}", run_id=f"run_{number}"))
    assert [study.study_id for study in ledger.studies()] == ["s4", "s3", "s2", "s1", "s0"]
    assert [study.study_id for study in ledger.studies(dag_id="hpo_1")] == ["s3", "s1"]
    assert ledger.find("hpo_0") == "s4"
    assert ledger.find("hpo_0/run_2") == "s2"
    with pytest.raises(InputError, match="no study 'nothing'"):
        ledger.find("nothing")


def test_the_number_of_queries_does_not_grow(ledger):
    """Listing studies and reading trials cost a fixed number of statements."""
    of = spec(search=CONDITIONAL)
    statements = []
    sqlalchemy.event.listen(
        ledger._database.engine, "before_cursor_execute", lambda *a: statements.append(a[2])
    )
    numbers = []
    for size in (1, 12):
        for number in range(size):
            ledger.create(header(of, study_id=f"s{size}-{number}"))
        ledger.ask(f"s{size}-0", of, 0, size)
        statements.clear()
        ledger.studies()
        ledger.trials(f"s{size}-0")
        numbers.append(len(statements))
    assert numbers[0] == numbers[1]


def test_several_objectives_have_a_front(ledger):
    of = spec(
        objective=[{"metric": "a", "direction": "minimize"}, {"metric": "b", "direction": "maximize"}],
        optimizer={"sampler": "nsga2", "seed": 1},
    )
    _, asked = study_with_a_round(ledger, of)
    points = [(1.0, 1.0), (2.0, 2.0), (3.0, 1.5), (0.5, 0.0)]
    ledger.tell(STUDY, [outcome(x, values={"a": a, "b": b}) for x, (a, b) in zip(asked, points, strict=True)])
    assert [trial.slot for trial in ledger.best(STUDY)] == [3, 0, 1]
    assert ledger.study(STUDY).best_value is None
    assert ledger.studies()[0].best_value is None
