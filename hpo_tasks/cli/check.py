"""`hpo check`: whether the clouds that a study names would take it, asked before anything is started."""

from collections.abc import Iterator
from pathlib import Path

from rich.text import Text

from hpo_tasks.cli.places import places
from hpo_tasks.cli.terminal import print_json, say, show
from hpo_tasks.errors import HpoError, Problem, SpecError
from hpo_tasks.flow.repetition import with_rounds
from hpo_tasks.flow.steps.inputs import fingerprint_inputs
from hpo_tasks.flow.steps.remote import preflight
from hpo_tasks.report.text import plain
from hpo_tasks.spec import StudySpec, load
from hpo_tasks.store import open_store


def check(file: Path, *, as_json: bool) -> bool:
    """Ask everything that the study needs, with this shell's credentials; print what is wrong. Returns whether nothing is.

    Raises:
        SpecError: the study file itself is wrong.
    """
    spec = with_rounds(load(file))
    problems = list(_problems(spec))
    if as_json:
        print_json(
            {
                "file": str(file),
                "ok": not problems,
                "problems": [{"field": each.field, "message": each.message} for each in problems],
            }
        )
        return not problems
    for problem in problems:
        show(Text(plain(str(problem)), style="red"))
    for remark in _remarks(spec):
        say(remark)
    if not problems:
        show(Text(f"{plain(str(file))}: ok — {spec.backend.type} would take its trials, the store answers"))
    return not problems


def _problems(spec: StudySpec) -> Iterator[Problem]:
    """All findings, each where the study file has its cause."""
    backend = spec.backend
    if backend.type != "local":
        own = backend.model_copy(update={"connection": None})
        try:
            yield from preflight(spec.model_copy(update={"backend": own}))
        except HpoError as error:
            yield Problem("backend", str(error))
    uri = spec.store.uri if spec.store else places().store
    if backend.type != "local" and not uri.startswith("s3://"):
        yield Problem("store", f"is {uri}: jobs on {backend.type} need s3://bucket/prefix")
    else:
        try:
            open_store(uri).probe()
        except HpoError as error:
            yield Problem("store", str(error))
    yield from _input_problems(spec)


def _input_problems(spec: StudySpec) -> Iterator[Problem]:
    """Of inputs on S3 that are the same for every run; the others are looked for when a run begins."""
    from hpo_tasks.trial.s3_objects import new_client  # noqa: PLC0415 - boto3

    fixed = {
        name: uri for name, uri in spec.trial.inputs.items() if uri.startswith("s3://") and "{" not in uri
    }
    try:
        fingerprint_inputs(fixed, new_client)
    except SpecError as error:
        yield from error.problems
    except HpoError as error:
        yield Problem("trial.inputs", str(error))


def _remarks(spec: StudySpec) -> Iterator[str]:
    connection = getattr(spec.backend, "connection", None)
    if connection is not None:
        yield f"backend.connection: `{connection}` is Airflow's: this shell's credentials were used instead"
    if spec.store is not None and spec.store.connection is not None:
        yield f"store.connection: `{spec.store.connection}` is Airflow's: this shell's credentials were used instead"
