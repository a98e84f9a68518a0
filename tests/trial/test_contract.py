"""Requests and outcomes survive the wire; whatever else comes over it is refused, naming the field."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo_tasks.errors import IntegrityError
from hpo_tasks.trial.contract import (
    Outcome,
    Request,
    canonical_json,
    decode_outcome,
    decode_request,
    encode_outcome,
    encode_request,
    params_sha256,
)

REQUEST = Request(
    study="abc234", round=3, slot=17, attempt=2, job="hpo-abc234-3-17-2", spec_digest="d" * 64,
    params={"lr": 1e-4, "depth": 7, "booster": "dart", "flag": True, "nothing": None}, seed=2**62,
    objectives=("rmse", "latency"), thresholds=("size",),
    program={"command": ["./train", "--lr={lr}"]}, metrics=({"name": "rmse", "regex": "rmse=([0-9.]+)"},),
    env={"A": "b\nc"}, inputs={"train": "/data/train.csv"}, secrets=("API_KEY", "token"),
    code={"archive": "studies/a/code.tar.gz", "sha256": "0" * 64}, model_dir="out/model", clean_model_dir=True, threads=4, gpus=1, memory_bytes=1 << 30, timeout_s=90.5, grace_s=3.0,
)  # fmt: skip
OUTCOME = Outcome(
    study="abc234", round=3, slot=17, attempt=2, cls="complete", spec_digest="d" * 64,
    params_sha256=params_sha256(REQUEST.params), values={"rmse": 0.41, "latency": -0.0}, metrics={"size": 1e307},
    attempts=2, started_at="2026-01-02T03:04:05.678+00:00", ended_at="2026-01-02T03:05:00.000+00:00", duration_s=54.3,
    exit_code=-9, peak_memory_bytes=1 << 40, log_tail="a\n\tb\\x1b[2J",
    artifacts=({"path": "model/m.ubj", "size": 12, "sha256": "f" * 64},), provenance={"seed": "7"},
)  # fmt: skip
TRAINER = {"trainer": "xgboost", "options": {"target": "price", "folds": 5}}


@pytest.mark.parametrize(
    "request_",
    [
        REQUEST,
        replace(REQUEST, program={"entry_point": "a.b:c"}, code=None),
        replace(REQUEST, program=TRAINER),
    ],
)
def test_a_request_comes_back_as_it_was_sent(request_):
    assert decode_request(encode_request(request_)) == request_


@pytest.mark.parametrize(
    "outcome", [OUTCOME, replace(OUTCOME, cls="infra", values={}, reason="lost", exit_code=None)]
)
def test_an_outcome_comes_back_as_it_was_sent(outcome):
    assert decode_outcome(encode_outcome(outcome)) == outcome


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_values_come_back_bit_for_bit(value):
    back = decode_outcome(encode_outcome(replace(OUTCOME, values={"rmse": value})))
    assert back.values["rmse"].hex() == value.hex()


def test_fields_that_a_later_version_adds_are_ignored():
    document = json.loads(encode_request(REQUEST)) | {"added_later": 1}
    assert decode_request(canonical_json(document)) == REQUEST


def test_a_reason_is_cut_to_one_printable_line():
    back = decode_outcome(encode_outcome(replace(OUTCOME, reason="two\nlines \x1b[2J" + "x" * 9999)))
    assert back.reason.startswith("two lines \\x1b[2Jxxx")
    assert len(back.reason) == 500


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not JSON"),
        (encode_outcome(OUTCOME)[:-40], "not JSON"),
        (b"\xff\xfe" + encode_outcome(OUTCOME), "not UTF-8"),
        (b"\xef\xbb\xbf" + encode_outcome(OUTCOME), "not JSON"),
        (b"x" * (50 << 20), "52,428,800 bytes"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b"{}", "schema"),
        (b'{"schema": 2}', "schema"),
        (b'{"schema": true}', "schema"),
        (b'{"schema": 1, "schema": 1}', "twice"),
        (b'{"schema": 1, "round": ' + b"9" * 5000 + b"}", "not JSON"),
        (encode_outcome(OUTCOME).replace(b"0.41", b"NaN"), "NaN"),
        (encode_outcome(OUTCOME).replace(b"0.41", b"-Infinity"), "-Infinity"),
        (encode_outcome(OUTCOME).replace(b"0.41", b"1e400"), "values: rmse: must be a finite number"),
    ],
)
def test_what_is_no_document_is_refused(data, said):
    with pytest.raises(IntegrityError, match=r"^outcome: ") as caught:
        decode_outcome(data)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 400


WRONG_OUTCOMES: list[tuple[str, Any]] = [
    ("study", "../../etc"),
    ("study", 7),
    ("round", -1),
    ("round", True),
    ("round", 1.0),
    ("slot", "3"),
    ("attempt", None),
    ("class", "completed"),
    ("class", None),
    ("params_sha256", "0" * 63),
    ("reason", "clears the screen \x1b[2J"),
    ("reason", "x" * 501),
    ("values", {}),
    ("values", {"rmse": True}),
    ("values", {"rmse": "0.5"}),
    ("values", {"rmse": None}),
    ("values", {"rmse": {"nested": 1}}),
    ("values", {"rmse": 10**400}),
    ("values", [0.5]),
    ("values", {f"m{i}": 1.0 for i in range(11)}),
    ("metrics", {"a\nb": 1.0}),
    ("metrics", {"": 1.0}),
    ("metrics", {f"m{i}": 1.0 for i in range(1001)}),
    ("attempts", -1),
    ("started_at", "yesterday"),
    ("duration_s", -0.5),
    ("exit_code", "0"),
    ("peak_memory_bytes", 1.5),
    ("log_tail", "\x07"),
    ("log_tail", "x" * 4097),
    ("artifacts", [{"path": "../../etc/passwd", "size": 1, "sha256": "0" * 64}]),
    ("artifacts", [{"path": "/etc/passwd", "size": 1, "sha256": "0" * 64}]),
    ("artifacts", [{"path": "model/%2e%2e/x", "size": 1, "sha256": "0" * 64}]),
    ("artifacts", [{"path": "model/x", "size": -1, "sha256": "0" * 64}]),
    ("artifacts", [{"path": "model/x", "size": 1}]),
    ("artifacts", {}),
    ("provenance", {"seed": 7}),
    ("provenance", {"host": "\ud800"}),
]


@pytest.mark.parametrize(("field", "value"), WRONG_OUTCOMES)
def test_a_wrong_field_of_an_outcome_is_named(field, value):
    document = json.loads(encode_outcome(OUTCOME)) | {field: value}
    with pytest.raises(IntegrityError, match=f"^outcome: {field}: ") as caught:
        decode_outcome(json.dumps(document).encode())
    assert len(str(caught.value)) < 400


WRONG_REQUESTS: list[tuple[str, Any]] = [
    ("attempt", 0),
    ("job", "a b"),
    ("params", {"x": [1]}),
    ("params", {"x": "nul\0"}),
    ("seed", -1),
    ("objectives", "rmse"),
    ("program", {}),
    ("program", {"command": "rm -rf /"}),
    ("program", {"command": ["a"], "entry_point": "b:c"}),
    ("program", {"entry_point": "os.system('x')"}),
    ("program", {"trainer": "../x", "options": {}}),
    ("metrics", [{"name": "a"}]),
    ("env", {"A": 1}),
    ("secrets", {"API_KEY": "value"}),
    ("secrets", ["A=B"]),
    ("secrets", [f"A{i}" for i in range(101)]),
    ("code", {"archive": "../../x", "sha256": "0" * 64}),
    ("code", {"archive": "x"}),
    ("model_dir", "/etc"),
    ("model_dir", "a/../.."),
    ("clean_model_dir", 1),
    ("threads", 0),
    ("memory_bytes", 0),
    ("timeout_s", "30m"),
    ("grace_s", -1),
]


@pytest.mark.parametrize(("field", "value"), WRONG_REQUESTS)
def test_a_wrong_field_of_a_request_is_named(field, value):
    document = json.loads(encode_request(REQUEST)) | {field: value}
    with pytest.raises(IntegrityError, match=f"^request: {field}: "):
        decode_request(json.dumps(document).encode())


@pytest.mark.parametrize("field", ["study", "params", "program", "objectives"])
def test_a_missing_field_is_named(field):
    document = json.loads(encode_request(REQUEST))
    del document[field]
    with pytest.raises(IntegrityError, match=f"^request: {field}: missing"):
        decode_request(canonical_json(document))


def test_only_outcomes_with_a_result_have_values():
    document = json.loads(encode_outcome(OUTCOME)) | {"class": "stopped"}
    with pytest.raises(IntegrityError, match=r"values: present in class stopped"):
        decode_outcome(canonical_json(document))
