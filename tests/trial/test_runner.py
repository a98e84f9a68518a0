"""The runner with real programs: what they get, what is kept of them, who wins when several runners meet."""

import hashlib
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from trials import Study, marked

from hpo_tasks.trial.contract import Outcome, params_sha256

SHELL = """#!/bin/sh
echo "{\\"step\\": 1, \\"loss\\": 9}" >> "$HPO_METRICS"
echo "{\\"step\\": 2, \\"loss\\": $HPO_PARAM_LR}" >> "$HPO_METRICS"
echo "argument $1" ; echo "error" >&2
"""
C_PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
    FILE *file = fopen(getenv("HPO_METRICS"), "a");
    fprintf(file, "{\"loss\": %.17g}\n", 2 * atof(argv[1]));
    return fclose(file);
}
"""
PYTHON = """
import json, os, sys
params = json.load(open(os.environ["HPO_PARAMS"]))
with open(os.environ["HPO_METRICS"], "a") as file:
    file.write(json.dumps({"loss": params["lr"], "in_venv": int(sys.prefix != sys.base_prefix)}))
"""


def stored(study: Study, outcome: Outcome, name: str) -> bytes:
    """An artifact of the attempt, checked against what the outcome says of it."""
    (entry,) = [each for each in outcome.artifacts if each["path"] == name]
    data = study.objects.read(f"studies/{study.id}/000/{outcome.slot:04d}/a{outcome.attempt}/{name}")
    assert (len(data), hashlib.sha256(data).hexdigest()) == (entry["size"], entry["sha256"])
    return data


def test_a_shell_script(study):
    program = study.program("train.sh", SHELL)
    outcome = study.run([program, "--lr={lr}", "--drop={drop}"], params={"lr": 0.25})
    assert (outcome.cls, outcome.values, outcome.exit_code) == ("complete", {"loss": 0.25}, 0)
    assert stored(study, outcome, "log.txt") == b"argument --lr=0.25\nerror\n"
    assert outcome.log_tail == "argument --lr=0.25\nerror\n"
    reports = [json.loads(line) for line in stored(study, outcome, "reports.jsonl").splitlines()]
    assert reports == [{"step": 1, "loss": 9}, {"step": 2, "loss": 0.25}]


def test_the_outcome_says_whose_it_is(study):
    outcome = study.run([study.program("train.sh", SHELL)], params={"lr": 1})
    key = (outcome.study, outcome.round, outcome.slot, outcome.attempt, outcome.attempts)
    assert key == (study.id, 0, 0, 1, 1)
    assert outcome.params_sha256 == params_sha256({"lr": 1})
    assert outcome.started_at <= outcome.ended_at
    assert outcome.peak_memory_bytes > 0
    assert outcome.provenance["seed"] == "7"
    assert len(outcome.provenance["code_sha256"]) == 64


def test_a_c_program(study):
    source = study.code / "train.c"
    source.write_text(C_PROGRAM)
    subprocess.run(["gcc", "-o", study.code / "train", source], check=True)
    outcome = study.run(["./train", "{x}"], params={"x": 0.1})
    assert (outcome.cls, outcome.values) == ("complete", {"loss": 0.2})


def test_a_python_program_in_another_virtual_environment(study):
    folder = study.folder / "other-venv"
    venv.create(folder, with_pip=False)
    study.program("train.py", PYTHON)
    outcome = study.run([str(folder / "bin" / "python"), "train.py"], params={"lr": 3})
    assert (outcome.values, outcome.metrics) == ({"loss": 3.0}, {"in_venv": 1.0})


def test_metrics_from_the_output(study):
    program = study.program(
        "train.sh", "#!/bin/sh\necho epoch 1 loss=0.9\necho epoch 2 loss=0.7 >&2\nprintf loss=0.5"
    )
    outcome = study.run([program], metrics=({"name": "loss", "regex": r"loss=([0-9.]+)"},))
    assert outcome.values == {"loss": 0.5}


CALLABLES = """
import json, os
class Nested:
    @staticmethod
    def objective(session):
        return 4
def number(session):
    session.report(1, loss=5)
    return session.params["lr"] * 2
def mapping(session):
    return {"loss": 1, "extra": 2}
def nothing(session):
    for step in range(5):
        session.report(step, loss=5 - step)
def everything(session):
    assert session.inputs == {"Train": "/data/x.csv"} and session.seed == 7 and session.threads == 3
    assert not session.should_stop()
    (session.model_dir / "sub").mkdir()
    (session.model_dir / "sub" / "model.bin").write_bytes(b"weights")
    (session.checkpoint_dir / "state").write_text("5")
    return 0
def text(session):
    return "0.5"
def true(session):
    return True
def raises(session):
    raise ValueError("no such thing:\\n" + "x" * 10)
def explains(session):
    from hpo_tasks.errors import InputError
    raise InputError("table.csv: column price is missing")
def exits(session):
    os._exit(7)
def segfaults(session):
    import ctypes
    ctypes.string_at(0)
def odd(session):
    return object()
"""


@pytest.mark.parametrize(
    ("name", "values"),
    [("number", 0.5), ("mapping", 1.0), ("nothing", 1.0), ("Nested.objective", 4.0), ("everything", 0.0)],
)
def test_a_python_callable(study, name, values):
    study.program("my_objectives.py", CALLABLES)
    study.program("random.py", "raise SystemExit('a file of the user took the place of a module of Python')")
    outcome = study.run(
        f"my_objectives:{name}", params={"lr": 0.25}, threads=3, inputs={"Train": "/data/x.csv"}
    )
    assert (outcome.cls, outcome.reason, outcome.values) == ("complete", "", {"loss": values})
    if name == "everything":
        assert stored(study, outcome, "model/sub/model.bin") == b"weights"


@pytest.mark.parametrize(
    ("name", "said", "logged"),
    [
        ("text", "value of metric loss is the text '0.5', not a number", ""),
        ("true", "value of metric loss is true, not a number", ""),
        ("raises", "ValueError: no such thing: xxxxxxxxxx", "Traceback"),
        ("exits", "exit code 7", ""),
        ("segfaults", "killed by SIGSEGV", "in segfaults"),
        ("odd", "TypeError: metric loss: must be a number, got object", "Traceback"),
        ("missing", "AttributeError: module 'my_objectives' has no attribute 'missing'", "Traceback"),
    ],
)
def test_a_python_callable_that_fails(study, name, said, logged):
    study.program("my_objectives.py", CALLABLES)
    outcome = study.run(f"my_objectives:{name}")
    assert (outcome.cls, outcome.reason) == ("user_error", said)
    assert logged in outcome.log_tail


def test_an_error_that_explains_itself_has_no_traceback(study):
    study.program("my_objectives.py", CALLABLES)
    outcome = study.run("my_objectives:explains")
    assert outcome.reason == "table.csv: column price is missing"
    assert outcome.log_tail == "table.csv: column price is missing\n"


def test_one_number_is_not_enough_for_two_objectives(study):
    study.program("my_objectives.py", CALLABLES)
    outcome = study.run("my_objectives:number", params={"lr": 1}, objectives=("loss", "latency"))
    assert "return a mapping with loss, latency" in outcome.reason


def test_a_module_that_is_not_there(study):
    outcome = study.run("nowhere.train:objective")
    assert (outcome.cls, outcome.reason) == ("user_error", "ModuleNotFoundError: No module named 'nowhere'")


DOCUMENTED = [
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "RAYON_NUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
    "HPO_PARAMS",
    "HPO_METRICS",
    "HPO_STOP",
    "HPO_CHECKPOINT_DIR",
    "HPO_MODEL_DIR",
    "HPO_SEED",
    "HPO_THREADS",
    "HPO_STUDY",
    "HPO_ROUND",
    "HPO_SLOT",
    "HPO_ATTEMPT",
    "HPO_JOB",
]


def test_the_environment_holds_nothing_but_what_is_documented(study):
    """Also: the documentation names exactly these."""
    dump = "import json, os, pathlib; pathlib.Path(os.environ['HPO_MODEL_DIR'], 'env').write_text(json.dumps(dict(os.environ)))"
    dump += "; print('loss=1')"
    request = study.request(
        [sys.executable, "-c", dump],
        params={"learning rate": 0.5, "größer": "ß"}, inputs={"train": "/x"}, env={"OMP_NUM_THREADS": "9"}, threads=2,
        metrics=({"name": "loss", "regex": "loss=(1)"},),
    )  # fmt: skip
    runner = study.start(
        request, AWS_SECRET_ACCESS_KEY="secret", AIRFLOW__CORE__FERNET_KEY="secret", CUDA_VISIBLE_DEVICES="3"
    )
    assert runner.wait(30) == 0
    found = json.loads(stored(study, study.outcome(request), "model/env"))
    extra = {"HPO_PARAM_LEARNING_RATE", "HPO_PARAM_GR_SSER", "HPO_INPUT_TRAIN", "TEST_MARKER"}
    assert found.keys() - {"LC_CTYPE"} == {*DOCUMENTED, *extra}
    assert (found["OMP_NUM_THREADS"], found["MKL_NUM_THREADS"]) == ("9", "2")
    assert found["CUDA_VISIBLE_DEVICES"] == ""
    assert (found["HPO_PARAM_LEARNING_RATE"], found["HPO_PARAM_GR_SSER"]) == ("0.5", "ß")
    page = (Path(__file__).parents[2] / "docs" / "runner-contract.md").read_text()
    assert [name for name in DOCUMENTED if f"`{name}`" not in page] == []


def test_a_trial_that_asks_for_gpus_sees_those_of_its_job(study):
    program = study.program("train.sh", '#!/bin/sh\necho "gpus=$CUDA_VISIBLE_DEVICES"\n')
    request = study.request([program], gpus=1, metrics=({"name": "loss", "regex": "gpus=(.*)"},))
    assert study.start(request, CUDA_VISIBLE_DEVICES="3").wait(30) == 0
    assert study.outcome(request).values == {"loss": 3.0}


START_ERRORS = [
    (["no-such-program"], "cannot start no-such-program: not found"),
    (["./not-executable"], "cannot start ./not-executable: no permission to execute it"),
    (["./no-first-line"], "cannot start ./no-first-line: not a program of this machine"),
    (["./crlf"], "cannot start ./crlf: not found (or the interpreter"),
    (["{inactive}"], "command: names no program"),
    (["true", "{"], "lone {"),
]


@pytest.mark.parametrize(("command", "said"), START_ERRORS, ids=[command[0] for command, _ in START_ERRORS])
def test_a_program_that_cannot_be_started(study, command, said):
    study.program("not-executable", "#!/bin/sh\n")
    (study.code / "not-executable").chmod(0o644)
    study.program("no-first-line", "\x01\x02")
    study.program("crlf", "#!/bin/sh\r\necho\r\n")
    outcome = study.run(command)
    assert (outcome.cls, outcome.exit_code) == ("user_error", None)
    assert said in outcome.reason


def test_a_checkpoint_goes_from_attempt_to_attempt_as_a_whole(study):
    text = "#!/bin/sh\ncd $HPO_CHECKPOINT_DIR\nls; echo $HPO_ATTEMPT > epoch-$HPO_ATTEMPT\nmkdir -p d; echo x > d/f\n"
    program = study.program(
        "train.sh", text + "test $HPO_ATTEMPT = 3 && echo '{\"loss\": 1}' > $HPO_METRICS\nkill -9 $$"
    )
    first = study.run([program])
    assert (first.cls, first.log_tail) == ("infra", "")
    second = study.run([program], attempt=2)
    assert second.log_tail == "d\nepoch-1\n"
    assert second.provenance["checkpoint_of_attempt"] == "1"
    # The upload of the second attempt was cut short: its list is missing, so the whole set of the first one counts.
    (study.root / f"studies/{study.id}/000/0000/checkpoint/a2.json").unlink()
    third = study.run([program], attempt=3)
    assert third.log_tail == "d\nepoch-1\n"
    # A file of the third one's is damaged: the first one's again.
    (study.root / f"studies/{study.id}/000/0000/checkpoint/a3/epoch-3").write_text("damaged")
    assert study.run([program], attempt=4).log_tail == "d\nepoch-1\n"


def test_models_hold_regular_files_only(study):
    text = """#!/bin/sh
ln -s /etc/passwd $HPO_MODEL_DIR/passwd; ln -s / $HPO_MODEL_DIR/root; mkfifo $HPO_MODEL_DIR/pipe
ln -s /etc $HPO_CHECKPOINT_DIR/etc; ln -s /etc/passwd reports.jsonl
echo model > $HPO_MODEL_DIR/model.bin; echo other > $HPO_MODEL_DIR/both
mkdir -p saved; cat saved/old; echo own > saved/own; echo loser > saved/both
rm $HPO_METRICS; echo '{"loss": 1}' > $HPO_METRICS
"""
    study.program("train.sh", text)
    (study.code / "saved").mkdir()
    (study.code / "saved" / "old").write_text("old")
    outcome = study.run(["./train.sh"], model_dir="saved")
    assert sorted(each["path"] for each in outcome.artifacts if each["path"].startswith("model/")) == [
        "model/both", "model/model.bin", "model/old", "model/own",
    ]  # fmt: skip
    assert stored(study, outcome, "model/both") == b"other\n"
    cleaned = study.run(["./train.sh"], model_dir="saved", clean_model_dir=True, slot=1)
    assert "model/old" not in [each["path"] for each in cleaned.artifacts]
    assert list(study.objects.list(f"studies/{study.id}/000/0000/checkpoint/")) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("for i in $(seq 1001); do : > $HPO_MODEL_DIR/$i; done", "model: more than 1000 files"),
        ("touch $HPO_MODEL_DIR/$(printf '\\377')", "model: cannot be stored"),
        ("touch $HPO_MODEL_DIR/a\\\\b", "model: cannot be stored"),
        (
            "i=0; cd $HPO_MODEL_DIR; while [ $i -lt 40 ]; do mkdir d; cd d; i=$((i+1)); done",
            "nested more than 30 deep",
        ),
        ("truncate -s 30G $HPO_MODEL_DIR/sparse", "20 GiB"),
    ],
)
def test_a_model_that_cannot_be_kept_is_refused_with_the_reason(study, line, said):
    program = study.program("train.sh", f"#!/bin/sh\n{line}\n" + "echo '{\"loss\": 1}' > $HPO_METRICS\n")
    outcome = study.run([program])
    assert outcome.cls == "user_error"
    assert said in outcome.reason
    assert outcome.metrics == {"loss": 1.0}


def test_code_that_is_not_the_pinned_one_never_runs(study):
    program = study.program("train.sh", "#!/bin/sh\ntouch ../ran\n")
    pinned = study.request([program]).code
    request = study.request([program], slot=1, code=pinned | {"sha256": "0" * 64})
    assert study.start(request).wait(30) == 0
    outcome = study.outcome(request)
    assert (outcome.cls, outcome.exit_code) == ("infra", None)
    assert "not the code that the study was pinned with" in outcome.reason


def test_two_runners_of_one_attempt_train_once(study):
    program = study.program(
        "train.sh", f"#!/bin/sh\necho x >> {study.folder}/ledger\necho '{{\"loss\": 1}}' > $HPO_METRICS\n"
    )
    request = study.request([program])
    runners = [study.start(request) for _ in range(4)]
    assert [runner.wait(30) for runner in runners] == [0, 0, 0, 0]
    assert (study.folder / "ledger").read_text() == "x\n"
    assert study.outcome(request).cls == "complete"


def test_a_decided_trial_is_left_alone(study):
    program = study.program("train.sh", f"#!/bin/sh\necho x >> {study.folder}/ledger\n")
    request = study.request([program])
    study.objects.create(study.key(request).trial.outcome, b"decided")
    assert study.start(request).wait(30) == 0
    assert study.objects.read(study.key(request).trial.outcome) == b"decided"
    assert study.objects.read(study.key(request).started) is None
    assert not (study.folder / "ledger").exists()


def test_a_late_result_changes_nothing(study):
    program = study.program("train.sh", "#!/bin/sh\nread line < gate\necho '{\"loss\": 1}' > $HPO_METRICS\n")
    os.mkfifo(study.folder / "gate")
    study.program(
        "train.sh", f"#!/bin/sh\nread line < {study.folder}/gate\necho '{{\"loss\": 1}}' > $HPO_METRICS\n"
    )
    request = study.request([program])
    runner = study.start(request)
    with (study.folder / "gate").open("w") as gate:  # opens when the program reads
        study.objects.create(study.key(request).trial.outcome, b"decided")
        gate.write("go\n")
    assert runner.wait(30) == 0
    assert study.objects.read(study.key(request).trial.outcome) == b"decided"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: None, "there is no such request"),
        (lambda data: data[:50], "request: not JSON"),
        (lambda data: data.replace(b'"slot":0', b'"slot":1'), "is the request of another attempt"),
    ],
)
def test_a_request_that_cannot_be_read_is_refused_in_one_line(study, change, said):
    request = study.request(["true"])
    path = study.root / study.key(request).request
    data = change(path.read_bytes())
    path.unlink() if data is None else path.write_bytes(data)
    runner = study.start(request)
    _, errors = runner.communicate(timeout=30)
    assert runner.returncode == 2
    assert said in errors
    assert errors.count("\n") == 1


def test_no_result_is_made_up_when_the_store_refuses(study):
    """The store vanishes under the running trial: exit code 75, one line, nothing left on this host."""
    program = study.program(
        "train.sh",
        f"#!/bin/sh\nmv {study.root} {study.folder}/moved\n" + "echo '{\"loss\": 1}' > $HPO_METRICS\n",
    )
    runner = study.start(study.request([program]))
    _, errors = runner.communicate(timeout=30)
    assert runner.returncode == 75
    assert "does not exist" in errors
    assert errors.count("\n") == 1
    assert marked(study.marker) == []
    assert list((study.folder / "scratch").iterdir()) == []


def test_on_s3(study, s3, tmp_path):
    """The same runner, with request, code, outcome and artifacts on S3."""
    from hpo_tasks.trial.objects import open_objects

    bucket = open_objects(f"s3://{s3.new_bucket()}/pre/fix", client=s3.client())
    request = study.request([study.program("train.sh", SHELL)], params={"lr": 0.5})
    for key in study.objects.list(""):
        bucket.upload(key, study.root / key)
    runner = subprocess.run(
        [sys.executable, "-P", "-m", "hpo_tasks.trial", f"{bucket.uri}/{study.key(request).request}"],
        env={"PATH": os.environ["PATH"], "HPO_SCRATCH": str(tmp_path), **s3.environment()},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (runner.returncode, runner.stderr) == (0, "")
    from hpo_tasks.trial.contract import decode_outcome

    outcome = decode_outcome(bucket.read(study.key(request).trial.outcome))
    assert (outcome.cls, outcome.values) == ("complete", {"loss": 0.5})
    assert bucket.read(study.key(request).log) == b"argument \nerror\n"
    assert "AWS" not in outcome.log_tail


def test_a_runner_that_got_its_own_write_back_goes_on(study):
    """The reply to the claim may be lost and its repetition refused: it is ours all the same."""
    from hpo_tasks.trial.runner import claim

    class Stammering:
        uri = study.objects.uri

        def create(self, key, data):
            return study.objects.create(key, data) and study.objects.create(key, data)

        def read(self, key, *, limit=None):
            return study.objects.read(key, limit=limit)

    request = study.request(["true"])
    assert claim(Stammering(), study.key(request), request)
    assert not claim(study.objects, study.key(request), request)
