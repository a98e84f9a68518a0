"""`hpo run`: a study on the embedded Airflow, from the file to the leaderboard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rich.text import Text

from hpo_tasks.cli.follow import Follower, Run, failure_messages
from hpo_tasks.cli.places import open_ledger, places_of, store_of
from hpo_tasks.cli.reading import best_documents, show_result
from hpo_tasks.cli.study_file import locate, make_visible
from hpo_tasks.cli.terminal import print_json, say, show
from hpo_tasks.errors import InputError, IntegrityError
from hpo_tasks.flow.embedded import control
from hpo_tasks.flow.embedded.home import Home, dags_folder, embedded_home
from hpo_tasks.flow.embedded.rest import AirflowApi
from hpo_tasks.flow.repetition import check_rounds, with_rounds
from hpo_tasks.report.leaderboard import ID_SHOWN
from hpo_tasks.report.text import duration, plain
from hpo_tasks.spec import StudySpec, Trust, apply, load, parse_override, planned_max_rounds
from hpo_tasks.study.identity import study_id
from hpo_tasks.study.records import StudyRecord, TrialRecord

DEPLOYMENT = "embedded"
OK, FAILED, INTERRUPTED = 0, 1, 130


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asks for: the study file, and the trigger form's fields that differ from it."""

    file: Path
    conf: Mapping[str, Any]


def run(wish: Wish, *, follow: bool, as_json: bool) -> int:
    """Run a study, or attach to its unfinished run. Returns the exit code: 0 only if the study is complete.

    Raises:
        InputError: the study, an override or the file's name is wrong; nothing was started.
    """
    spec = load(wish.file)
    check(spec, wish.conf)
    home = embedded_home()
    study_file = locate(wish.file, home, dags_folder())
    home.create()
    make_visible(study_file)
    running = control.start(home, progress=say)
    api = AirflowApi(running.url)
    dag = api.wait_for_dag(study_file.dag_id, edited_at=study_file.path.stat().st_mtime)
    started = start_or_attach(api, dag, wish, spec)
    current = _run(study_file.dag_id, started, running.url)
    say(f"study {current.study}, run {current.dag_id}/{current.run_id}\n{current.url}")
    if not follow:
        _after_start(current, started, as_json=as_json)
        return OK
    try:
        Follower(api, current, places_of(home)).until_done()
    except KeyboardInterrupt:
        say(
            f"\nthe run goes on without this command; `hpo run {wish.file}` attaches to it again, "
            f"`hpo status {current.study[:ID_SHOWN]}` looks at it; `hpo down` stops Airflow, and the run until the next `hpo up`"
        )
        return INTERRUPTED
    return _conclude(api, current, home, as_json=as_json)


def read_conf(overrides: Sequence[str], epoch: int | None, note: str | None) -> dict[str, Any]:
    """The run's conf, which is what a person would put into the trigger form.

    Raises:
        InputError: an override is not `key=value`, or is given twice.
    """
    conf: dict[str, Any] = {}
    for text in overrides:
        key, value = parse_override(text)
        if key in conf:
            raise InputError(f"--set {key}: given twice")
        conf[key] = value
    return conf | {key: value for key, value in (("epoch", epoch), ("note", note)) if value is not None}


def check(spec: StudySpec, conf: Mapping[str, Any]) -> None:
    """Refuse what `prepare` would refuse, before anything is started.

    Raises:
        SpecError: all problems.
    """
    overrides = {key: value for key, value in conf.items() if key not in ("epoch", "note")}
    check_rounds(apply(spec, overrides, trust=Trust.FILE), planned_max_rounds(with_rounds(spec)))


def start_or_attach(
    api: AirflowApi, dag: Mapping[str, Any], wish: Wish, spec: StudySpec
) -> Mapping[str, Any]:
    """The run to follow: an unfinished one of this DAG, else a new one.

    Raises:
        InputError: a run with another conf is going on.
    """
    dag_id, now = str(dag["dag_id"]), datetime.now(UTC)
    run_id = f"manual__{now.isoformat()}"
    for interval in (due_interval(dag, spec, now), None):
        if unfinished := api.unfinished_runs(dag_id):
            _unpause(api, dag)
            return attach(unfinished[0], wish)
        if api.trigger(dag_id, run_id, wish.conf, interval=interval):
            # Only now: unpaused first, the scheduler would start a run of its own on the same data.
            _unpause(api, dag)
            return {"dag_run_id": run_id, "conf": wish.conf}
    raise InputError(f"Airflow refuses a new run of {dag_id}: there is one at this very moment; try again")


def due_interval(dag: Mapping[str, Any], spec: StudySpec, now: datetime) -> tuple[str, str] | None:
    """The last complete data interval of a schedule, if it has no run yet.

    None: there is no schedule, it has one, or the DAG catches up, so that the next interval is not the last one.
    """
    start, end = dag.get("next_dagrun_data_interval_start"), dag.get("next_dagrun_data_interval_end")
    if spec.schedule is None or spec.catchup or start is None or end is None:
        return None
    return (start, end) if datetime.fromisoformat(end) <= now else None


def attach(unfinished: Mapping[str, Any], wish: Wish) -> Mapping[str, Any]:
    """The run that is going on, if it is what was asked for: nothing in particular, or the very same conf.

    Raises:
        InputError: it was started with another conf.
    """
    run_id, conf = unfinished["dag_run_id"], unfinished.get("conf") or {}
    if wish.conf and dict(wish.conf) != conf:
        asked = ", ".join(f"{key}={value}" for key, value in wish.conf.items())
        raise InputError(
            f"a run of this study is going on ({run_id}), and it was not started with {asked}: follow it with `hpo run "
            f"{wish.file}` alone, or wait until it is over"
        )
    say("attached to the run that is going on")
    return unfinished


def _unpause(api: AirflowApi, dag: Mapping[str, Any]) -> None:
    if dag.get("is_paused"):
        api.unpause(str(dag["dag_id"]))


def _run(dag_id: str, started: Mapping[str, Any], airflow: str) -> Run:
    run_id = str(started["dag_run_id"])
    epoch = int((started.get("conf") or {}).get("epoch", 0))
    return Run(
        dag_id=dag_id,
        run_id=run_id,
        study=study_id(DEPLOYMENT, dag_id, run_id, epoch),
        url=f"{airflow}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}",
    )


def _after_start(current: Run, started: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        _print_result(current, "running", {}, None, _duration_s(started))
    else:
        say(f"not followed; `hpo status {current.study[:ID_SHOWN]}` looks at it")


def _conclude(api: AirflowApi, current: Run, home: Home, *, as_json: bool) -> int:
    """Show how the run ended. Returns the exit code."""
    ended = api.run(current.dag_id, current.run_id) or {}
    for message in failure_messages(api, current) if ended.get("state") != "success" else []:
        say(message, style="red")
    study, trials = _recorded(current, home)
    state = "failed" if study is None or study.state == "running" else study.state
    best: Any = None
    if study is not None:
        store = store_of(study.header, places_of(home))
        with open_ledger(places_of(home)) as ledger:
            best = best_documents(study.header, ledger.best(current.study), store)
        if not as_json:
            show_result(study.header, trials, store)
    seconds = _duration_s(ended)
    if as_json:
        _print_result(current, state, study.counts if study else {}, best, seconds)
    else:
        reason = f": {study.reason}" if study and study.reason else ""
        took = f" after {duration(seconds)}" if seconds is not None else ""
        show(Text(f"\nstudy {current.study} is {state}{took}{plain(reason)}"), Text(plain(current.url)))
    return OK if state == "complete" and ended.get("state") == "success" else FAILED


def _recorded(current: Run, home: Home) -> tuple[StudyRecord | None, list[TrialRecord]]:
    """The study and its trials; None and nothing if `prepare` never made it."""
    try:
        with open_ledger(places_of(home)) as ledger:
            return ledger.study(current.study), ledger.trials(current.study)
    except (InputError, IntegrityError):
        return None, []


def _print_result(
    current: Run, state: str, trials: Mapping[Any, int], best: Any, duration_s: float | None
) -> None:
    document = {
        "study": current.study,
        "dag_id": current.dag_id,
        "run_id": current.run_id,
        "state": state,
        "trials": dict(trials),
        "best": best,
        "duration_s": duration_s,
        "url": current.url,
    }
    print_json(document, indent=None)


def _duration_s(run: Mapping[str, Any]) -> float | None:
    start, end = run.get("start_date"), run.get("end_date")
    if start is None or end is None:
        return None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
