"""Environment variables of the trial, and secrets anywhere in the file."""

import re
from collections.abc import Iterator

from hpo_tasks.errors import Problem
from hpo_tasks.spec.model import StudySpec
from hpo_tasks.spec.rules.store import CONNECTION
from hpo_tasks.spec.secret_shapes import random_looking, secret_name, secret_shape

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_INPUT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_OURS = ("HPO_",)
_RESERVED_PREFIXES = ("AWS_", "AIRFLOW_", "LD_", "DYLD_", "BASH_FUNC_", "_")
_RESERVED = frozenset(
    {
        "BASH_ENV",
        "CUDA_VISIBLE_DEVICES",
        "ENV",
        "GCONV_PATH",
        "HOME",
        "IFS",
        "PATH",
        "PYTHONBREAKPOINT",
        "PYTHONHOME",
    }
    | {"PYTHONINSPECT", "PYTHONPATH", "PYTHONPLATLIBDIR", "PYTHONSAFEPATH", "PYTHONSTARTUP", "PYTHONUSERBASE"}
    | {"PYTHONEXECUTABLE", "SHELL", "SHELLOPTS", "TMPDIR", "USER"}
)
_HARMLESS = re.compile(r"[0-9.]{0,12}|true|false", re.IGNORECASE)
_REMEDY = "secrets go under trial.secrets, as {connection: …}"


def environment_problems(spec: StudySpec) -> Iterator[Problem]:
    """Names of `trial.env` and `trial.secrets`: legal, not reserved, each once.

    Parameters and inputs cannot clash with them: theirs begin with HPO_, which is reserved.
    """
    for section, names in (("env", spec.trial.env), ("secrets", spec.trial.secrets)):
        for name in names:
            if message := _name_misfit(name):
                yield Problem(f"trial.{section}.{name[:80]}", message)
    for name in spec.trial.secrets.keys() & spec.trial.env.keys():
        yield Problem(f"trial.secrets.{name}", "is under trial.env too: keep one of them")
    for name, secret in spec.trial.secrets.items():
        if not CONNECTION.fullmatch(secret.connection):
            yield Problem(f"trial.secrets.{name}.connection", "must be the id of an Airflow connection")


def _name_misfit(name: str) -> str:
    upper = name.upper()
    if not _NAME.fullmatch(name):
        return "an environment variable's name must be letters, digits and _, not begin with a digit"
    if upper.startswith(_OURS):
        return "names that begin with HPO_ are set by the runner"
    if upper.startswith(_RESERVED_PREFIXES) or upper in _RESERVED:
        return "is set by the runner or would change how it runs: it cannot be set here"
    return ""


def input_name_problems(spec: StudySpec) -> Iterator[Problem]:
    """Input names: each becomes HPO_INPUT_<NAME>, upper-cased, other characters as `_`."""
    seen: dict[str, str] = {}
    for name in spec.trial.inputs:
        variable = "HPO_INPUT_" + re.sub(r"[^A-Z0-9]", "_", name.upper())
        if not _INPUT_NAME.fullmatch(name):
            yield Problem(
                f"trial.inputs.{name[:80]}", "a name must be letters, digits and _ . - (at most 64)"
            )
        elif (other := seen.setdefault(variable, name)) != name:
            yield Problem(f"trial.inputs.{name}", f"and `{other}` would both be {variable}: rename one")


def secret_problems(spec: StudySpec) -> Iterator[Problem]:
    """Nothing in the file looks like a secret. Messages name the field and the kind, never the value."""
    for name, value in spec.trial.env.items():
        if _name_misfit(name):
            continue  # refused already
        if secret_name(name) and not _HARMLESS.fullmatch(value):
            yield Problem(f"trial.env.{name}", f"has the name of a secret: {_REMEDY}")
        elif kind := secret_shape(value) or _generated(value):
            yield Problem(f"trial.env.{name}", f"looks like {kind}: {_REMEDY}")
    for index, element in enumerate(spec.trial.command or ()):
        if kind := secret_shape(element) or _generated(element):
            yield Problem(f"trial.command[{index}]", f"looks like {kind}: {_REMEDY}")
    for field, value in _other_texts(spec):
        if kind := secret_shape(value):
            yield Problem(
                field, f"looks like {kind}: a study file is stored and shown, keep secrets out of it"
            )


def _generated(value: str) -> str | None:
    return "a generated key" if random_looking(value) else None


def _other_texts(spec: StudySpec) -> Iterator[tuple[str, str]]:
    yield "name", spec.name
    yield "owner", spec.owner or ""
    yield "description", spec.description or ""
    yield from ((f"tags.{key}", value) for key, value in spec.tags.items())
    yield from ((f"trial.inputs.{name}", uri) for name, uri in spec.trial.inputs.items())
    yield "store", spec.store.uri if spec.store else ""
    code = spec.trial.code
    if code is not None:
        yield from (("trial.code.git", code.git or ""), ("trial.code.archive", code.archive or ""))
        yield from ((f"trial.code.install[{index}]", text) for index, text in enumerate(code.install or ()))
