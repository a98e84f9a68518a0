"""Secrets in the runner: the program gets them under their names, and what the runner stores holds none of them."""

import sys

import pytest
from trials import holding, marked, until

from hpo_tasks.trial.workspace import LIVE_LOG

CANARY = "canary-4f1c9a"
NAMES = ("API_KEY", "token")
HANDED = {"HPO_SECRET_API_KEY": CANARY, "HPO_SECRET_token": "other"}


def python(study, text):
    study.program("train.py", f"import json, os\nkey = os.environ['API_KEY']\n{text}\n")
    return [sys.executable, "train.py"]


def run(study, program, handed=HANDED, **fields):
    request = study.request(program, secrets=NAMES, **fields)
    runner = study.start(request, **handed)
    _, errors = runner.communicate(timeout=30)
    assert (runner.returncode, errors) == (0, "")
    assert holding(study.folder, CANARY) == []
    return study.outcome(request)


def test_the_program_gets_each_secret_under_its_own_name(study):
    """And under no other: nothing of the names that they came in."""
    look = "print(sorted(name for name in os.environ if 'SECRET' in name))"
    look += f"\nright = (key, os.environ['token']) == ('{CANARY[:6]}' + '{CANARY[6:]}', 'other')"
    look += "\nopen(os.environ['HPO_METRICS'], 'w').write(json.dumps({'loss': int(right)}))"
    beside = {"HPO_SECRET_NOT_ASKED_FOR": CANARY, "API_KEY": "not this one"}
    outcome = run(study, python(study, look), HANDED | beside)
    assert (outcome.cls, outcome.values, outcome.log_tail) == ("complete", {"loss": 1.0}, "[]\n")


@pytest.mark.parametrize("handed", [{}, {"HPO_SECRET_token": "other"}, {"API_KEY": CANARY, "token": CANARY}])
def test_a_runner_without_the_value_starts_nothing(study, handed):
    """As after a restart of the host. Another attempt may get the value, so it is nobody's fault."""
    missing = [name for name in NAMES if f"HPO_SECRET_{name}" not in handed]
    outcome = run(study, ["touch", f"{study.folder}/ran"], handed)
    assert (outcome.cls, outcome.exit_code) == ("infra", None)
    assert outcome.reason == f"trial.secrets: the runner was started without {', '.join(missing)}"
    assert not (study.folder / "ran").exists()


def test_output_is_stored_without_the_value_also_where_two_reads_meet(study):
    """The pipe is read in pieces of 64 KiB; one write of less than the pipe holds arrives in one go."""
    before = (1 << 16) - 5
    outcome = run(study, python(study, f"os.write(1, b'x' * {before} + b' ' + key.encode() + b' end\\n')"))
    (log,) = study.root.rglob("log.txt")
    assert log.read_bytes() == b"x" * before + b" *** end\n"
    assert outcome.log_tail == "x" * (4096 - len(" *** end\n")) + " *** end\n"


def test_the_live_log_never_shows_the_value(study):
    """Also not the half of it that the program has printed so far."""
    program = "yes key=$API_KEY | head -20; printf %.10s $API_KEY; exec sleep 600"
    request = study.request(["sh", "-c", program], secrets=NAMES)
    runner = study.start(request, **HANDED)
    (live,) = until(lambda: list((study.folder / "scratch").glob(f"*/{LIVE_LOG}")), "a live log")
    until(lambda: live.read_text() == "key=***\n" * 20, "twenty lines")
    assert holding(study.folder, CANARY[:8]) == []
    runner.terminate()
    assert runner.wait(30) == 0
    assert study.outcome(request).log_tail == "key=***\n" * 20 + "***"
    assert holding(study.folder, CANARY[:8]) == []
    assert marked(study.marker) == []


@pytest.mark.parametrize("before", [0, 280, 290])
def test_an_exception_is_told_without_the_value_wherever_its_text_is_cut(study, before):
    study.program(
        "train.py",
        f"import os\ndef run(session):\n    raise KeyError('x' * {before} + os.environ['API_KEY'])\n",
    )
    outcome = run(study, "train:run")
    text = f"KeyError: '{'x' * before}***'"
    assert (outcome.cls, outcome.reason) == ("user_error", text if len(text) <= 300 else f"{text[:299]}…")
    assert outcome.log_tail.endswith("***'\n")
    assert holding(study.folder, CANARY[:8]) == []


def test_a_value_longer_than_what_is_read_of_an_exception_is_masked(study):
    study.program("train.py", "import os\ndef run(session):\n    raise KeyError(os.environ['token'])\n")
    long = "0123456789abcdef" * 1024
    outcome = run(study, "train:run", HANDED | {"HPO_SECRET_token": long})
    assert outcome.reason == "KeyError: '***"
    assert holding(study.folder, long[:100]) == []


def test_what_is_reported_is_stored_without_the_value(study):
    report = {"loss": "x" * 30}
    text = f"report = {report} | {{key: 1, 'size': 2}}\nreport['loss'] += key"
    outcome = run(
        study, python(study, f"{text}\nopen(os.environ['HPO_METRICS'], 'w').write(json.dumps(report))")
    )
    assert outcome.reason == f"value of metric loss is the text '{'x' * 30}***', not a number"
    assert outcome.metrics == {"size": 2.0}


def test_a_reason_that_quotes_what_the_program_left_holds_no_value(study):
    leave = "open(os.path.join(os.environ['HPO_MODEL_DIR'], key + chr(92)), 'w').close()"
    report = 'open(os.environ["HPO_METRICS"], "w").write(json.dumps({"loss": 1}))'
    outcome = run(study, python(study, f"{leave}\n{report}"))
    assert outcome.cls == "user_error"
    assert outcome.reason.startswith("model: cannot be stored: ")
    assert "'***" in outcome.reason


def test_a_secret_changes_no_metric_of_the_study(study):
    report = 'open(os.environ["HPO_METRICS"], "w").write(json.dumps({"loss": 0.125, "lossless": 1}))'
    outcome = run(study, python(study, report), HANDED | {"HPO_SECRET_token": "loss"})
    assert (outcome.cls, outcome.values, outcome.metrics) == ("complete", {"loss": 0.125}, {})
