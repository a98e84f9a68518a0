"""The two documents that cross the wire: request and outcome. The only contract between control plane and job.

Both are JSON objects with `schema: 1`. Reading one checks every field's type and raises IntegrityError that names
the field: what comes out of a job is hostile.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

SCHEMA = 1

OutcomeClass = Literal[
    "complete", "pruned", "stopped", "user_error", "oom", "timeout", "interrupted", "infra"
]
OUTCOME_CLASSES: tuple[str, ...] = get_args(OutcomeClass)
NEW_ATTEMPT: frozenset[str] = frozenset({"interrupted", "infra"})
"""Classes that earn a new attempt of the same parameters; the others decide the trial."""

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Request:
    """What one attempt is to do.

    Attributes:
        study, round, slot, attempt: the attempt's key.
        job: the job's name; started.json holds it, so that a twin of the same attempt exits at once.
        spec_digest: digest of the pinned spec, repeated in the outcome.
        params: active parameters, name → JSON scalar.
        seed: this trial's own seed.
        objectives: names of the metrics whose last value is the result, in the spec's order.
        thresholds: names of further metrics that the result must hold.
        program: {"command": [argv…]} | {"entry_point": "module:callable"} | {"trainer": name, "options": {…}}.
        metrics: [{"name":…, "regex":…}] to be read from standard output; usually empty.
        env, inputs: as in the study file, inputs with their URIs rendered.
        code: {"archive": key relative to the store's root, "sha256":…} or None; unpacked as working directory.
        model_dir: folder (relative to the working directory) that the program writes by itself, or None.
        threads, gpus, memory_bytes: resources; memory_bytes None = no limit.
        timeout_s: wall clock of one attempt; grace_s: between TERM and KILL.
        control: wheel reserved for pruning and similar later additions; unknown keys are ignored.
    """

    study: str
    round: int
    slot: int
    attempt: int
    job: str
    spec_digest: str
    params: Mapping[str, Scalar]
    seed: int
    objectives: tuple[str, ...]
    program: Mapping[str, Any]
    thresholds: tuple[str, ...] = ()
    metrics: tuple[Mapping[str, str], ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    code: Mapping[str, str] | None = None
    model_dir: str | None = None
    clean_model_dir: bool = False
    threads: int = 1
    gpus: int = 0
    memory_bytes: int | None = None
    timeout_s: float = 3600.0
    grace_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt ended; as `outcome.json` it is the trial's final word.

    Attributes:
        cls: the class, `class` in the JSON.
        reason: finer reason in a few words, e.g. `exit code 3`, `no value for metric rmse`; "" when complete.
        values: objective name → value, all finite, exactly the request's objectives; {} unless complete or pruned.
        metrics: last finite value of every other metric reported (thresholds among them).
        attempts: how many attempts the trial had by then (this one included).
        started_at, ended_at: ISO 8601 UTC; duration_s measured by a monotonic clock.
        exit_code: of the user's program (negative = signal), None if it never started.
        peak_memory_bytes: of the process tree, as sampled; 0 if unknown.
        log_tail: last lines of standard output and error, at most 4 KiB, control characters escaped.
        artifacts: [{"path": relative to the attempt's prefix, "size":…, "sha256":…}], models among them.
        provenance: {"seed", "code", "host", "python", …} strings.
    """

    study: str
    round: int
    slot: int
    attempt: int
    cls: OutcomeClass
    spec_digest: str
    params_sha256: str
    reason: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    attempts: int = 1
    started_at: str = ""
    ended_at: str = ""
    duration_s: float = 0.0
    exit_code: int | None = None
    peak_memory_bytes: int = 0
    log_tail: str = ""
    artifacts: tuple[Mapping[str, Any], ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)


def params_sha256(params: Mapping[str, Scalar]) -> str:
    """Fingerprint of a configuration: SHA-256 over its canonical JSON."""
    return hashlib.sha256(canonical_json(params)).hexdigest()


def canonical_json(value: Any) -> bytes:
    """The one byte string for a JSON value: sorted keys, no spaces, UTF-8, no NaN.

    Raises:
        ValueError: the value holds NaN or infinity.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def encode_request(request: Request) -> bytes:
    return canonical_json({"schema": SCHEMA, **asdict(request)})


def encode_outcome(outcome: Outcome) -> bytes:
    document = asdict(outcome)
    document["class"] = document.pop("cls")
    return canonical_json({"schema": SCHEMA, **document})


# decode_request and decode_outcome are in this module too: checked field by field (see the module's docstring).
