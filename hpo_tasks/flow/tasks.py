"""From an Airflow context to the steps: opens deployment, store, ledger and backend, then calls the step."""

import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, Context

from hpo_tasks.errors import HpoError, InputError, Problem, SpecError, UnavailableError
from hpo_tasks.flow.assets import asset_uri, best_alias
from hpo_tasks.flow.interval import interval_of
from hpo_tasks.flow.settings import (
    Deployment,
    NoStudyDatabaseError,
    check_pool,
    connection_password,
    read_deployment,
)
from hpo_tasks.flow.steps.run import OpenStudy, StudyHandle, TrainWork, open_study
from hpo_tasks.spec import RUN_FIELDS, StudySpec, Trust, apply, validate
from hpo_tasks.spec.rules.trust import ALLOW_LOCAL, import_path_problems, trust_problems
from hpo_tasks.store.base import Store

if TYPE_CHECKING:
    from hpo_tasks.flow.steps.connections import PasswordOf
    from hpo_tasks.flow.steps.remote import Awaited
    from hpo_tasks.flow.steps.train import OpenTrial, TrialRun
    from hpo_tasks.trial.contract import Outcome

log = logging.getLogger(__name__)

LABEL_LENGTH = 200


def prepare_task(
    context: Context, spec: StudySpec | None, study_file: Path | None, rounds: int
) -> StudyHandle:
    """Pin the run's study; returns where it lies."""
    from hpo_tasks.flow.steps.prepare import RunIdentity, Site, prepare

    params = dict(context["params"])
    chosen = spec_of_run(spec, params)
    check_pool(chosen.pool)
    deployment = surely_read_deployment(context)
    reference = _store_of(chosen, deployment)
    password_of = _surely(context)
    _check_connection(reference["connection"], password_of)
    _check_backend(chosen, reference["store"], deployment.name)
    store = _open_store(reference["store"], reference["connection"])
    run = RunIdentity(
        dag_id=context["dag_run"].dag_id,
        run_id=context["dag_run"].run_id,
        epoch=int(params.get("epoch", 0)),
        interval=_interval(context, chosen),
        note=str(params.get("note", "")),
    )
    site = Site(
        deployment=deployment,
        store=store,
        ledger=open_ledger(deployment),
        s3=lambda: _s3_client(reference["connection"]),
        password_of=password_of,
        base=study_file.resolve().parent if study_file else None,
        max_rounds=rounds,
    )
    pinned = prepare(chosen, run, site)
    return {"study": pinned.study, "store": reference["store"], "connection": reference["connection"]}


def ask_task(handle: StudyHandle, round_: int | None) -> list[TrainWork] | None:
    """What each train task of the round is to do, None when the study is at its end.

    Without a number it is the round that is open.
    """
    from hpo_tasks.flow.steps.ask import ask
    from hpo_tasks.study.plan import Finished

    study = _open(handle)
    result = ask(study, open_ledger(study.deployment), round_)
    if isinstance(result, Finished):
        return None
    slots = [row.slot for row in result.configurations]
    size = study.pin.spec.trials_per_task
    return [
        {**handle, "round": result.round, "slots": slots[first : first + size]}
        for first in range(0, len(slots), size)
    ]


def train_task(
    work: TrainWork,
    *,
    on_start: Callable[[Callable[[], None]], None],
    is_taken_away: Callable[[], bool],
    clears: int = 0,
    wall_clock_is_over: bool = False,
) -> "Awaited | None":
    """Train the slots, one after the other. The store holds their outcomes.

    Args:
        work: the slots, their round, and where their study lies.
        on_start: is given what a signal handler may call to end this function soon.
        is_taken_away: asked when that was called: whether the running trial's job is to end too.
        clears: a number that Airflow raises when the task is cleared.
        wall_clock_is_over: the triggerer says so; its clock may be ahead of this host's.

    Returns: the job whose end has to be awaited before this is called again; None when all slots are trained.
    """
    from hpo_tasks.flow.steps.batch import read_batch

    study = _open(work)
    batch = read_batch(study.store, study.pin.study, work["round"])
    open_trial = _trials_of(study, work, clears)
    trials = [open_trial(batch, slot) for slot in work["slots"]]
    for trial in trials:
        trial.wall_clock_is_over = wall_clock_is_over

    def stop() -> None:
        for trial in trials:  # also those to come: nobody waits for this task any more
            trial.request_stop()

    on_start(stop)
    if study.pin.spec.backend.type != "local":
        return _train_elsewhere(study, trials, is_taken_away, clears)
    from hpo_tasks.flow.steps.local import slot_of_study

    with slot_of_study(study, give_up=lambda: trials[0].stop_requested):
        for trial in trials:
            _log_outcome(trial, trial.until_decided(is_taken_away))
    return None


def _train_elsewhere(
    study: OpenStudy, trials: "Sequence[TrialRun]", is_taken_away: Callable[[], bool], clears: int
) -> "Awaited | None":
    from hpo_tasks.flow.steps.remote import awaited, end_if_cleared
    from hpo_tasks.trial.contract import Outcome

    for trial in trials:
        end_if_cleared(trial, clears)
        step = trial.until_deferred(is_taken_away)
        if not isinstance(step, Outcome):
            return awaited(study, step, None if trial.was_asked_to_stop else trial.batch.deadline)
        _log_outcome(trial, step)
    return None


def _log_outcome(trial: "TrialRun", outcome: "Outcome") -> None:
    values = " ".join(f"{name}={value:.6g}" for name, value in outcome.values.items())
    log.info("slot %d: %s %s", trial.slot, outcome.cls, values or outcome.reason)


def tell_task(work: TrainWork) -> dict[str, Any]:
    """Record the round; returns how many trials were told, and why the study is at its `end`, None if it is not.

    Args:
        work: of any train task of the round, which knows the round and where the study lies.
    """
    from hpo_tasks.flow.steps.tell import end_of, tell

    study, round_ = _open(work), work["round"]
    ledger = open_ledger(study.deployment)
    report = tell(study, ledger, round_, _trials_of(study, work))
    return {
        "round": round_,
        "told": len(report.told),
        "already": len(report.already),
        "end": end_of(study, ledger),
    }


def conclude_task(context: Context, handle: StudyHandle) -> dict[str, Any]:
    """Close the study, announce its best, and fail unless it is a success."""
    from hpo_tasks.flow.steps.conclude import conclude
    from hpo_tasks.flow.steps.local import tidy

    study = _open(handle)
    conclusion = conclude(study, open_ledger(study.deployment), _trials_of(study, handle))
    if study.pin.spec.backend.type == "local":
        tidy(study)
    if not conclusion.is_success:
        raise StudyFailedError(f"study {study.pin.study} failed: {conclusion.reason}")
    _announce(context, study, conclusion.summary)
    return {"study": study.pin.study, "state": conclusion.state, "reason": conclusion.reason}


class StudyFailedError(HpoError):
    """The study is neither complete nor stopped on purpose."""


def slot_label(work: TrainWork) -> str:
    """The slot's parameters in a few words: `learning_rate=0.1 max_depth=6`; of several slots, which they are."""
    from hpo_tasks.flow.steps.batch import read_batch

    first, *others = work["slots"]
    if others:
        return f"slots {first} to {others[-1]}"
    store = _open_store(work["store"], work["connection"])
    params = read_batch(store, work["study"], work["round"]).at(first).params
    words = (f"{name}={_short(value)}" for name, value in params.items())
    return " ".join(words)[:LABEL_LENGTH]


def spec_of_run(spec: StudySpec | None, params: Mapping[str, Any]) -> StudySpec:
    """The study of this run: the file's, or the form's for `hpo_adhoc`, with the form's fields applied.

    Raises:
        SpecError: the form asks for something the validator refuses; names the fields.
    """
    overrides = {key: value for key, value in params.items() if key not in RUN_FIELDS}
    if spec is not None:
        if os.environ.get(ALLOW_LOCAL) != "1":
            return apply(spec, overrides, Trust.FORM)
        # Whoever triggers owns the machine (embedded): every field may be set, `hpo run --set`, but for import paths.
        changed = apply(spec, overrides, Trust.FILE)
        own = (spec.optimizer.sampler,)
        moved = [Problem("pool", "is a property of the DAG: change the study file")]
        problems = [
            *(moved if changed.pool != spec.pool else []),
            *import_path_problems(changed.optimizer.sampler, also_allowed=own),
            *trust_problems(changed, Trust.FILE),
        ]
        if problems:
            raise SpecError(problems)
        return changed
    if unknown := sorted(set(overrides) - {"study"}):
        raise SpecError([Problem(key, "is no field of this form: put it into `study`") for key in unknown])
    return validate(params["study"], trust=Trust.FORM, source="study")


def _announce(context: Context, study: OpenStudy, document: Mapping[str, Any]) -> None:
    """Emit the Asset event, unless this very best was announced before the task was cleared."""
    from hpo_tasks.flow.steps.best import is_announcement_due

    if not document["best"]:
        return
    pin, best = study.pin, document["best"][0]
    if not is_announcement_due(study.store, pin, best["number"], context["ti"].max_tries):
        return
    extra = {
        "study": pin.study, "run_id": pin.run_id, "number": best["number"], "params": best["params"],
        "values": best["values"], "model": document["model"], "interval": list(pin.interval),
    }  # fmt: skip
    uri = asset_uri(pin.dag_id)
    context["outlet_events"][best_alias(pin.dag_id)].add(Asset(name=uri, uri=uri), extra=extra)


def _interval(context: Context, spec: StudySpec) -> tuple[datetime, datetime]:
    run = context["dag_run"]
    given = (run.data_interval_start, run.data_interval_end)
    known = (given[0], given[1]) if given[0] is not None and given[1] is not None else None
    start, end = interval_of(known, run.run_after, spec.schedule, spec.timezone)
    return start.astimezone(UTC), end.astimezone(UTC)


def _open(handle: StudyHandle) -> OpenStudy:
    try:
        deployment = read_deployment()
    except NoStudyDatabaseError as error:  # prepare had one, so it is Airflow that is away
        raise UnavailableError(str(error)) from None
    return open_study(deployment, _open_store(handle["store"], handle["connection"]), handle["study"])


def _store_of(spec: StudySpec, deployment: Deployment) -> StudyHandle:
    chosen = spec.store or deployment.store
    if chosen is None:
        raise SpecError([Problem("store", "missing: name a folder or an s3:// prefix, or set HPO_STORE")])
    return {"study": "", "store": chosen.uri, "connection": chosen.connection}


def _surely(context: Context) -> "PasswordOf":
    """Passwords of connections; says that there is no such connection only if Airflow answers.

    While its server or database is away Airflow says the same of every connection.
    """

    def password_of(connection: str) -> str | None:
        password = connection_password(connection)
        if password is None:
            _ask_airflow(context)
            password = connection_password(connection)
        return password

    return password_of


def surely_read_deployment(context: Context) -> Deployment:
    """The deployment; that there is no study database is believed only if Airflow answers."""
    try:
        return read_deployment()
    except NoStudyDatabaseError:
        _ask_airflow(context)
        return read_deployment()


def _ask_airflow(context: Context) -> None:
    """Ask Airflow something that it knows. Raises if its server or database does not answer."""
    context["ti"].xcom_pull(task_ids=context["ti"].task_id)


def _check_connection(connection: str | None, password_of: "PasswordOf") -> None:
    if connection is not None and password_of(connection) is None:
        message = f"there is no Airflow connection `{connection}`: create it, with the type `aws`"
        raise SpecError([Problem("store.connection", message)])


def _check_backend(spec: StudySpec, store: str, deployment: str) -> None:
    """Ask the cloud whether it will run the study's jobs, before anything is started.

    Raises:
        SpecError: it will not; all reasons at once.
    """
    if spec.backend.type == "local":
        return
    from hpo_tasks.flow.steps.remote import preflight, tag_text

    if tag_text(deployment) != deployment:
        raise InputError(
            "HPO_DEPLOYMENT: is a tag of every job, and may hold letters, digits, spaces and _ . : / = + - @ only"
        )
    problems = preflight(spec)
    if not store.startswith("s3://"):
        message = f"is {store} (HPO_STORE): jobs on {spec.backend.type} need s3://bucket/prefix"
        problems.append(Problem("store", message))
    if problems:
        raise SpecError(problems)


def _open_store(uri: str, connection: str | None) -> Store:
    from hpo_tasks.store import open_store

    return open_store(uri, client=_s3_client(connection) if uri.startswith("s3://") and connection else None)


def open_ledger(deployment: Deployment) -> Any:
    from hpo_tasks.study.ledger import Ledger

    return Ledger(deployment.study_db)


def _trials_of(study: OpenStudy, handle: StudyHandle, clears: int = 0) -> "OpenTrial":
    backend = study.pin.spec.backend
    if backend.type != "local":
        from hpo_tasks.flow.steps import remote

        made = remote.open_backend(study, backend, clears=clears)
        return lambda batch, slot: remote.open_trial(study, batch, slot, made)
    from hpo_tasks.flow.steps import local

    return lambda batch, slot: local.open_trial(study, batch, slot, _s3_of(handle), connection_password)


def _s3_of(handle: StudyHandle) -> Callable[[], Any]:
    return lambda: _s3_client(handle["connection"])


def _s3_client(connection: str | None) -> Any:
    """An S3 client with the connection's credentials, or with those of the environment. Raises: as `aws.client`."""
    if connection is None:
        from hpo_tasks.trial.s3_objects import new_client

        return new_client()
    from hpo_tasks.flow.aws import client

    return client("s3", connection, field="store.connection")


def _short(value: Any) -> str:
    return (
        f"{value:.4g}"
        if isinstance(value, float)
        else json.dumps(value)
        if not isinstance(value, str)
        else value
    )
