"""Programs that misbehave: each ends, is classified, and leaves no process, memory or disk behind."""

import os
import signal
import sys

import pytest
from trials import marked, until

from hpo_tasks.trial.contract import encode_outcome

# Ignores SIGTERM itself, and leaves a daemon with its own session and no HPO variable in its environment.
DAEMON = """
import os, signal, sys, time
marker = {"TEST_MARKER": os.environ["TEST_MARKER"]}
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.execve(sys.executable, [sys.executable, "-c", "import signal, time; signal.signal(15, 1); print('up', flush=True); time.sleep(600)"], marker)
    os._exit(0)
os.wait()
"""
REPORT = "open(os.environ['HPO_METRICS'], 'a').write('{\"loss\": 1}\\n')\n"
SLEEP = "import os, time\n" + REPORT + "print('up', flush=True)\ntime.sleep(600)\n"


def is_up(study, programs=1):
    """So many programs have got as far as printing `up`."""
    logs = "scratch/*/log-tail.txt"
    return lambda: sum("up" in path.read_text() for path in study.folder.glob(logs)) >= programs


def python(study, text: str) -> list[str]:
    study.program("train.py", text)
    return [sys.executable, "train.py"]


def test_a_segfault(study):
    outcome = study.run(python(study, "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)"))
    assert (outcome.cls, outcome.reason, outcome.exit_code) == ("user_error", "killed by SIGSEGV", -11)


def test_no_metric(study):
    outcome = study.run(["true"])
    assert (outcome.cls, outcome.reason, outcome.exit_code) == ("user_error", "no value for metric loss", 0)


@pytest.mark.parametrize(
    ("value", "said"), [("NaN", "is nan"), ('"text"', "is the text 'text'"), ("1e400", "is inf")]
)
def test_what_is_no_number(study, value, said):
    outcome = study.run(["sh", "-c", f"echo '{{{{\"loss\": {value}}}}}' > $HPO_METRICS"])
    assert outcome.cls == "user_error"
    assert said in outcome.reason


def test_200_megabytes_of_output_cost_neither_memory_nor_disk(study):
    text = "import json, os, re\nchunk = b'x' * 1023 + b'\\n'\nos.write(1, b'the start\\n')\n"
    text += (
        "for _ in range(200):\n    assert os.write(1, chunk * 1024) == 1 << 20\nos.write(2, b'the end\\n')\n"
    )
    text += "runner = open(f'/proc/{os.getppid()}/status').read()\n"
    text += "peak = int(re.search(r'VmHWM:\\s+(\\d+) kB', runner)[1]) << 10\n"
    text += "open(os.environ['HPO_METRICS'], 'a').write(json.dumps({'loss': peak}))\n"
    request = study.request(python(study, text))
    assert study.start(request).wait(30) == 0
    outcome = study.outcome(request)
    assert 10 << 20 < outcome.values["loss"] < 60 << 20  # the output went through the runner
    assert outcome.log_tail.endswith("x\nthe end\n")
    log = study.objects.read(study.key(request).log)
    assert log.startswith(b"the start\nxxx")
    assert log.endswith(b"x\nthe end\n")
    assert b"bytes of output cut here" in log
    assert len(log) < 11 << 20


def test_a_program_that_floods_its_metrics_file(study):
    text = "import os\nwith open(os.environ['HPO_METRICS'], 'w') as f:\n    f.truncate(65 << 20)\n"
    outcome = study.run(python(study, text))
    assert (outcome.cls, outcome.reason) == (
        "user_error",
        "$HPO_METRICS: more than 64 MiB; report less often",
    )


def test_a_program_that_writes_its_metrics_without_ever_ending_a_line(study):
    text = "import os\nwith open(os.environ['HPO_METRICS'], 'w') as f:\n    f.write('{\"loss\": 2}\\n')\n    f.write('[' * (60 << 20))\n"
    assert study.run(python(study, text)).values == {"loss": 2.0}


def test_the_memory_limit_counts_the_whole_tree(study):
    text = "import os, time\nchildren = [os.fork() for _ in range(2)]\nhog = bytearray(os.urandom(1) * (60 << 20))\n"
    text += REPORT + "time.sleep(600)\n"
    outcome = study.run(python(study, text), memory_bytes=150 << 20)
    assert outcome.cls == "oom"
    assert "more than the limit of 150 MiB" in outcome.reason
    assert outcome.peak_memory_bytes > 150 << 20


def test_a_program_within_its_memory_limit_is_left_alone(study):
    text = "import os\nhog = bytearray(os.urandom(1) * (60 << 20))\n" + REPORT
    outcome = study.run(python(study, text), memory_bytes=150 << 20)
    assert outcome.cls == "complete"
    assert 60 << 20 < outcome.peak_memory_bytes < 150 << 20


def test_a_timeout_is_for_those_too_that_ignore_sigterm(study):
    text = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEP
    outcome = study.run(python(study, text), timeout_s=0.5, grace_s=0.3)
    assert (outcome.cls, outcome.reason, outcome.exit_code) == ("timeout", "ran longer than 0.5 s", -9)
    assert outcome.metrics == {"loss": 1.0}


def test_daemons_die_with_the_program(study):
    outcome = study.run(python(study, DAEMON + REPORT))  # run() checks that no process is left
    assert outcome.cls == "complete"


def test_daemons_die_with_a_program_that_is_killed(study):
    outcome = study.run(python(study, DAEMON + SLEEP), timeout_s=1.0, grace_s=0.3)
    assert outcome.cls == "timeout"


def test_a_fork_bomb_ends(study):
    text = "import os, time\nfor _ in range(7):\n    os.fork()\ntime.sleep(600)\n"
    outcome = study.run(python(study, text), timeout_s=1.0, grace_s=0.2)
    assert outcome.cls == "timeout"


def test_closed_output_is_no_end(study):
    text = "import os, time\nos.close(1)\nos.close(2)\ntime.sleep(0.3)\n" + REPORT
    assert study.run(python(study, text)).cls == "complete"


def test_a_program_that_removes_its_own_folders(study):
    text = "import os, shutil\nshutil.rmtree(os.path.dirname(os.environ['HPO_METRICS']))\nshutil.rmtree(os.environ['HOME'])\n"
    text += "shutil.rmtree(os.environ['HPO_MODEL_DIR'])\nshutil.rmtree(os.environ['HPO_CHECKPOINT_DIR'])\n"
    outcome = study.run(python(study, text))
    assert (outcome.cls, outcome.reason) == ("user_error", "no value for metric loss")


CALLABLE = """
import os, time
def patient(session):
    print('up', flush=True)
    while not session.should_stop():
        time.sleep(0.01)
    (session.checkpoint_dir / 'state').write_text('saved')
    (session.model_dir / 'half').write_text('model')
    return 3
def deaf(session):
    session.report(1, loss=4)
    print('up', flush=True)
    time.sleep(600)
"""


def running(study, name: str, **fields):
    study.program("waits.py", CALLABLE)
    request = study.request(f"waits:{name}", **fields)
    runner = study.start(request)
    until(is_up(study), "the program is up")
    return request, runner


@pytest.mark.parametrize("whole_study", [False, True])
def test_a_stop_request_lets_the_program_finish_its_work(study, whole_study):
    request, runner = running(study, "patient", grace_s=20.0)
    key = f"studies/{study.id}/stop.json" if whole_study else study.key(request).trial.stop
    study.objects.create(key, b'{"reason": "the budget is used up"}')
    assert runner.wait(30) == 0
    outcome = study.outcome(request)
    assert (outcome.cls, outcome.reason, outcome.exit_code) == ("stopped", "the budget is used up", 0)
    assert (outcome.values, outcome.metrics) == ({}, {"loss": 3.0})
    assert "model/half" in [each["path"] for each in outcome.artifacts]


def test_a_stop_request_needs_no_reason(study):
    """Four trials side by side, each asked with something else that is none."""
    stops = [b"", b"not json", b'{"reason": 3}', b"[" * 100_000]
    study.program("waits.py", CALLABLE)
    requests = [study.request("waits:deaf", grace_s=0.2, slot=slot) for slot in range(len(stops))]
    trials = [(request, study.start(request)) for request in requests]
    until(is_up(study, len(stops)), "all programs are up")
    for (request, _), stop in zip(trials, stops, strict=True):
        study.objects.create(study.key(request).trial.stop, stop)
    for request, runner in trials:
        assert runner.wait(30) == 0
        outcome = study.outcome(request)
        assert (outcome.cls, outcome.reason, outcome.exit_code) == ("stopped", "asked to stop", -9)
        assert outcome.metrics == {"loss": 4.0}
    assert marked(study.marker) == []


def test_sigterm_to_the_runner_saves_the_checkpoint(study):
    request, runner = running(study, "patient", grace_s=20.0)
    runner.send_signal(signal.SIGTERM)
    assert runner.wait(30) == 0
    outcome = study.outcome(request)
    assert (outcome.cls, outcome.exit_code, outcome.values) == ("interrupted", 0, {})
    state = study.objects.read(f"studies/{study.id}/000/0000/checkpoint/a1/state")
    assert state == b"saved"
    assert marked(study.marker) == []


def test_a_program_killed_from_outside_earns_a_new_attempt(study):
    request, runner = running(study, "deaf")
    (program,) = [pid for pid in marked(study.marker) if pid != runner.pid]
    os.kill(program, signal.SIGKILL)
    assert runner.wait(30) == 0
    assert study.outcome(request).cls == "infra"


def test_the_program_dies_with_a_runner_that_is_killed(study):
    _, runner = running(study, "deaf")
    runner.kill()
    runner.wait(30)
    until(lambda: marked(study.marker) == [], "the program is dead")


def test_a_report_that_is_already_there_stays(study):
    """The control plane gave the attempt up; the runner's own report comes too late."""
    request, runner = running(study, "deaf", grace_s=0.2)
    outcome = study.objects
    from hpo_tasks.trial.contract import Outcome, params_sha256

    given_up = Outcome(
        study=study.id, round=0, slot=0, attempt=1, cls="infra", spec_digest="0" * 64,
        params_sha256=params_sha256({}), reason="host lost",
    )  # fmt: skip
    outcome.create(study.key(request).report, encode_outcome(given_up))
    runner.terminate()
    assert runner.wait(30) == 0
    assert study.outcome(request) == given_up
