"""The two documents that cross the wire: request and outcome. The only contract between control plane and job.

Both are JSON objects with `schema: 1`. Reading one checks every field's type and raises IntegrityError that names
the field: what comes out of a job is hostile.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from hpo_tasks.errors import IntegrityError
from hpo_tasks.trial import checks
from hpo_tasks.trial.checks import Check
from hpo_tasks.trial.printable import one_line

SCHEMA = 1
MAX_DOCUMENT_BYTES = 1 << 20
"""No request or outcome is larger; read with this limit."""
MAX_LOG_TAIL_BYTES = 4096
MAX_REASON_CHARS = 500

OutcomeClass = Literal[
    "complete", "pruned", "stopped", "user_error", "oom", "timeout", "interrupted", "infra"
]
OUTCOME_CLASSES: tuple[str, ...] = get_args(OutcomeClass)
NEW_ATTEMPT: frozenset[str] = frozenset({"interrupted", "infra"})
"""Classes that earn a new attempt of the same parameters; the others decide the trial."""
HAS_VALUES: frozenset[str] = frozenset({"complete", "pruned"})
"""Classes whose outcomes hold `values`, and which a job commits as `outcome.json` itself."""

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
        secrets: names of the secrets that the program gets. Never their values: requests lie in the object store.
        code: {"archive": key relative to the store's root, "sha256":…} or None; unpacked as working directory.
        model_dir: folder (relative to the working directory) that the program writes by itself, or None.
        preload: modules that the entry point imports, for a backend that can load them before the job starts.
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
    secrets: tuple[str, ...] = ()
    code: Mapping[str, str] | None = None
    model_dir: str | None = None
    clean_model_dir: bool = False
    preload: tuple[str, ...] = ()
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
    """The outcome as JSON; its reason is cut to one printable line."""
    document = asdict(outcome)
    document["class"] = document.pop("cls")
    document["reason"] = one_line(outcome.reason, MAX_REASON_CHARS)
    return canonical_json({"schema": SCHEMA, **document})


def decode_request(data: bytes) -> Request:
    """Read a request, checking every field.

    Raises:
        IntegrityError: names the field, what is wrong with it, and never repeats more than a few characters of it.
    """
    return Request(**_checked_fields("request", _parse("request", data), Request, _REQUEST_CHECKS))


def decode_outcome(data: bytes) -> Outcome:
    """Read an outcome or report, checking every field: whoever wrote it may be hostile.

    Raises:
        IntegrityError: as `decode_request`.
    """
    document = _parse("outcome", data)
    document["cls"] = document.pop("class", None)
    outcome = Outcome(**_checked_fields("outcome", document, Outcome, _OUTCOME_CHECKS))
    if bool(outcome.values) != (outcome.cls in HAS_VALUES):
        raise IntegrityError(
            f"outcome: values: {'missing' if not outcome.values else 'present'} in class {outcome.cls}"
        )
    return outcome


def _parse(what: str, data: bytes) -> dict[str, Any]:
    if len(data) > MAX_DOCUMENT_BYTES:
        raise IntegrityError(f"{what}: {len(data):,} bytes, at most {MAX_DOCUMENT_BYTES:,} are allowed")
    try:
        document = json.loads(data.decode(), object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise IntegrityError(f"{what}: not UTF-8 at byte {error.start}") from None
    except checks.WrongValueError as error:
        raise IntegrityError(f"{what}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{what}: not JSON: {str(error)[:100]}") from None
    if not isinstance(document, dict):
        raise IntegrityError(f"{what}: must be a JSON object")
    schema = document.get("schema")
    if isinstance(schema, bool) or schema != SCHEMA:
        raise IntegrityError(f"{what}: schema: must be {SCHEMA}, got {ascii(schema)[:40]}")
    return document


def _checked_fields(
    what: str, document: Mapping[str, Any], cls: type[Any], rules: Mapping[str, Check]
) -> dict[str, Any]:
    found = {}
    for each in fields(cls):
        name = "class" if each.name == "cls" else each.name
        if each.name in document:
            try:
                found[each.name] = rules[each.name](document[each.name])
            except checks.WrongValueError as error:
                raise IntegrityError(f"{what}: {name}: {error}") from None
        elif each.default is MISSING and each.default_factory is MISSING:
            raise IntegrityError(f"{what}: {name}: missing")
    return found


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise checks.WrongValueError("the same key twice in one object")
    return document


def _no_constant(name: str) -> None:
    raise checks.WrongValueError(f"holds {name}, which is not JSON")


def _program(value: Any) -> dict[str, Any]:
    named = checks.any_object(value).keys() & _PROGRAM_FORMS.keys()
    if len(named) != 1:
        raise checks.wrong(f"an object with one of {', '.join(_PROGRAM_FORMS)}", value)
    program: dict[str, Any] = _PROGRAM_FORMS[named.pop()](value)
    return program


_arguments = checks.items(checks.argument, 10_000)
_PROGRAM_FORMS: dict[str, Check] = {
    "command": checks.record(command=lambda value: list(_arguments(value))),
    "entry_point": checks.record(entry_point=checks.pattern(r"[\w.]+:[\w.]+", "module:callable")),
    "trainer": checks.record(
        trainer=checks.pattern(r"[a-z_]+", "the name of a trainer"), options=checks.any_object
    ),
}
_name = checks.text(200, min_chars=1)
_sha256 = checks.pattern(r"[0-9a-f]{64}", "a SHA-256 in hex")
_KEY_CHECKS: dict[str, Check] = {
    "study": checks.pattern(r"[A-Za-z0-9_-]{1,64}", "a study's id"),
    "round": checks.integer(0, 999),
    "slot": checks.integer(0, 9999),
    "attempt": checks.integer(0, 9999),
    "spec_digest": checks.text(200),
}
_REQUEST_CHECKS = _KEY_CHECKS | {
    "attempt": checks.integer(1, 9999),
    "job": checks.pattern(r"[A-Za-z0-9][A-Za-z0-9-]{0,127}", "a job's name"),
    "params": checks.mapping(checks.scalar),
    "seed": checks.integer(0),
    "objectives": checks.items(_name, 10),
    "thresholds": checks.items(_name, 1000),
    "program": _program,
    "metrics": checks.items(checks.record(name=_name, regex=checks.text(1000, min_chars=1)), 100),
    "env": checks.mapping(checks.argument),
    "inputs": checks.mapping(checks.argument),
    "secrets": checks.items(checks.pattern(r"[A-Za-z_][A-Za-z0-9_]{0,127}", "a variable's name"), 100),
    "code": checks.optional(checks.record(archive=checks.relative_path, sha256=_sha256)),
    "model_dir": checks.optional(checks.relative_path),
    "clean_model_dir": checks.boolean,
    "preload": checks.items(checks.pattern(r"[A-Za-z_][\w.]*", "a module's name"), 100),
    "threads": checks.integer(1, 100_000),
    "gpus": checks.integer(0, 1000),
    "memory_bytes": checks.optional(checks.integer(1)),
    "timeout_s": checks.seconds,
    "grace_s": checks.seconds,
}
_OUTCOME_CHECKS = _KEY_CHECKS | {
    "cls": checks.pattern("|".join(OUTCOME_CLASSES), "a class of outcome"),
    "params_sha256": _sha256,
    "reason": checks.text(MAX_REASON_CHARS),
    "values": checks.mapping(checks.number, 10),
    "metrics": checks.mapping(checks.number),
    "attempts": checks.integer(0, 9999),
    "started_at": checks.time,
    "ended_at": checks.time,
    "duration_s": checks.seconds,
    "exit_code": checks.optional(checks.integer(-1000, 2**31)),
    "peak_memory_bytes": checks.integer(0),
    "log_tail": checks.text(MAX_LOG_TAIL_BYTES, lines=True),
    "artifacts": checks.items(
        checks.record(path=checks.relative_path, size=checks.integer(0), sha256=_sha256), 2000
    ),
    "provenance": checks.mapping(checks.text(1000), 100),
}
