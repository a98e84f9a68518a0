"""The environment of the user's program: what the request says, what a program needs to start, and HPO_*. No more."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpo_tasks.errors import InputError, UnavailableError
from hpo_tasks.trial.command_line import value_text
from hpo_tasks.trial.contract import Request

SECRET_PREFIX = "HPO_SECRET_"  # noqa: S105 - the beginning of a name
"""The runner gets the value of the secret NAME as HPO_SECRET_NAME; its program gets it as NAME."""
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "RAYON_NUM_THREADS",
)


@dataclass(frozen=True, slots=True)
class Places:
    """Where the program finds and leaves its files; all below the attempt's scratch folder.

    Attributes:
        work: working directory, with the user's code.
        home, tmp: HOME and TMPDIR.
        params: JSON file with the parameters.
        metrics: file that the program appends its reports to.
        stop: file that appears when the program is asked to stop.
        checkpoint, model: folders that are kept in the object store.
    """

    work: Path
    home: Path
    tmp: Path
    params: Path
    metrics: Path
    stop: Path
    checkpoint: Path
    model: Path


def handed_secrets(names: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Values of the named secrets, name → value, from the runner's own environment.

    Raises:
        UnavailableError: names those that are missing; another attempt may get them.
    """
    missing = [name for name in names if SECRET_PREFIX + name not in environ]
    if missing:
        raise UnavailableError(f"trial.secrets: the runner was started without {', '.join(missing)}")
    return {name: environ[SECRET_PREFIX + name] for name in names}


def program_environment(
    request: Request, places: Places, *, path: str, gpus: str, secrets: Mapping[str, str]
) -> dict[str, str]:
    """All variables of the user's program.

    Args:
        request: what the attempt is to do; its `env` may override the general variables, never HPO_*.
        places: the attempt's files.
        path: PATH of the runner.
        gpus: CUDA_VISIBLE_DEVICES of the runner; a trial that asks for no GPU sees none.
        secrets: name → value, of `handed_secrets`.

    Raises:
        InputError: a name or value that no environment can hold.
    """
    variables = {
        "PATH": path,
        "HOME": str(places.home),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TMPDIR": str(places.tmp),
        **dict.fromkeys(_THREAD_VARIABLES, str(request.threads)),
        **request.env,
        **secrets,
        "CUDA_VISIBLE_DEVICES": gpus if request.gpus else "",
        **{variable_name("HPO_PARAM_", name): value_text(value) for name, value in request.params.items()},
        **{variable_name("HPO_INPUT_", name): uri for name, uri in request.inputs.items()},
        "HPO_PARAMS": str(places.params),
        "HPO_METRICS": str(places.metrics),
        "HPO_STOP": str(places.stop),
        "HPO_CHECKPOINT_DIR": str(places.checkpoint),
        "HPO_MODEL_DIR": str(places.model),
        "HPO_SEED": str(request.seed),
        "HPO_THREADS": str(request.threads),
        "HPO_STUDY": request.study,
        "HPO_ROUND": str(request.round),
        "HPO_SLOT": str(request.slot),
        "HPO_ATTEMPT": str(request.attempt),
        "HPO_JOB": request.job,
    }
    for name, value in variables.items():
        if not name or "=" in name or "\0" in name or "\0" in value:
            raise InputError(
                f"environment variable {name[:100]!r}: must have a name without =, and no NUL character"
            )
    return variables


def variable_name(prefix: str, name: str) -> str:
    """Name of the variable for a parameter or input: upper case, other characters than A-Z, 0-9 and _ as `_`."""
    return prefix + re.sub(r"[^A-Z0-9_]", "_", name.upper())
