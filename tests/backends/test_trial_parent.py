"""Jobs that are forked from one process with their libraries loaded behave as if each had been started afresh."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from trials import until

from hpo_tasks.backends import job_start
from hpo_tasks.backends.base import JobStatus
from hpo_tasks.backends.job_start import end_parents, parent_name, parents
from hpo_tasks.trial import processes

ENDED = JobStatus("ended")


@pytest.fixture
def folder(study) -> Path:
    return study.folder / "state" / "parents"


def finished(study, backend, request):
    until(lambda: backend.poll([request.job])[request.job].state == "ended", "the job has ended")
    return study.outcome(request)


def trained(study, backend, code: str, *, slot: int = 0, **fields):
    """Outcome of an entry point with this code as its body."""
    study.program("train.py", "import os, sys\ndef objective(session):\n" + code)
    request = study.request("train:objective", slot=slot, **fields)
    backend.submit(request)
    return finished(study, backend, request)


def test_jobs_with_the_same_libraries_share_a_parent_and_others_do_not(study, backend, folder):
    trained(study, backend, "    return 1.0")
    first = parents(folder)
    trained(study, backend, "    return 1.0", slot=1)
    assert parents(folder) == first
    trained(study, backend, "    return 1.0", slot=2, preload=("numpy",))
    assert set(first) < set(parents(folder))


def test_what_is_preloaded_is_there_before_the_users_code_runs(study, make_backend):
    code = "    return float('numpy' in sys.modules)"
    assert trained(study, make_backend(), code, preload=("numpy",)).values == {"loss": 1.0}
    assert trained(study, make_backend(), code, slot=1).values == {"loss": 0.0}


def test_a_module_that_does_not_exist_is_the_trials_own_business(study, backend):
    assert trained(study, backend, "    return 1.0", preload=("no_such_module",)).values == {"loss": 1.0}


def test_siblings_have_seeds_and_threads_of_their_own(study, make_backend):
    """A fork copies the state of NumPy's generator, and the number of threads that were set when it was loaded."""
    code = (
        "    import numpy, random, sklearn, threadpoolctl\n"
        "    threads = {pool['num_threads'] for pool in threadpoolctl.threadpool_info()}\n"
        "    session.record({'threads': max(threads), 'numpy': numpy.random.rand(), 'python': random.random()})\n"
        "    return 1.0"
    )
    found = [
        trained(study, make_backend(), code, slot=slot, preload=("numpy", "sklearn.utils"), threads=2).metrics
        for slot in (0, 1)
    ]
    assert [each["threads"] for each in found] == [2.0, 2.0]
    assert found[0]["numpy"] != found[1]["numpy"]
    assert found[0]["python"] != found[1]["python"]


def test_a_forked_objective_ends_as_a_program_does(study, make_backend):
    """Its threads are waited for, its exit functions run, its output is flushed, its environment is its own."""
    code = (
        "    import atexit, threading, time\n"
        "    atexit.register(print, 'at exit')\n"
        "    threading.Thread(target=lambda: (time.sleep(0.2), session.record({'late': 5.0}))).start()\n"
        "    sys.stdout.write('no line end ' + os.environ['GREETING'] + ' ' + os.path.basename(os.getcwd()) + '\\n')\n"
        "    return 1.0"
    )
    outcome = trained(study, make_backend(), code, env={"GREETING": "hello"})
    assert outcome.metrics["late"] == 5.0
    assert outcome.log_tail == "no line end hello work\nat exit\n"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("    raise ValueError('bad depth')", "ValueError: bad depth"),
        ("    sys.exit('no data')", "exit code 1"),
        ("    os._exit(3)", "exit code 3"),
        ("    os.kill(os.getpid(), 11)", "SIGSEGV"),
    ],
)
def test_a_forked_objective_fails_as_a_program_does(study, make_backend, code, reason):
    outcome = trained(study, make_backend(), code)
    assert (outcome.cls, reason in outcome.reason) == ("user_error", True), outcome.reason


def test_a_job_goes_on_without_its_parent_and_the_next_one_gets_another(study, backend, folder):
    go = study.folder / "go"
    waiting = study.request(
        [
            study.program(
                "t.sh",
                f"#!/bin/sh\nwhile [ ! -e {go} ]; do sleep 0.05; done\necho '{{\"loss\": 1}}' > $HPO_METRICS\n",
            )
        ]
    )
    backend.submit(waiting)
    before = parents(folder)
    end_parents(folder)
    assert parents(folder) == []
    assert backend.poll([waiting.job])[waiting.job].state in ("pending", "running")
    assert trained(study, backend, "    return 2.0", slot=1).values == {"loss": 2.0}
    assert not set(parents(folder)) & set(before)
    go.touch()
    assert finished(study, backend, waiting).values == {"loss": 1.0}


def test_a_parent_that_hangs_costs_an_error_and_not_a_second_training(study, backend, folder, monkeypatch):
    """Whether it has started the job is not known then; the job's lock says so when it goes on."""
    monkeypatch.setattr("hpo_tasks.backends.job_order.PATIENCE_S", 0.5)
    trained(study, backend, "    return 1.0")
    (parent,) = parents(folder)
    os.kill(parent, signal.SIGSTOP)
    request = study.request("train:objective", slot=1)
    with pytest.raises(job_start.UnavailableError, match="trial parent"):
        backend.submit(request)
    os.kill(parent, signal.SIGCONT)
    until(lambda: backend.poll([request.job])[request.job].state != "unknown", "the order was carried out")
    assert finished(study, backend, request).values == {"loss": 1.0}


def test_no_job_can_reach_the_parent(study, make_backend, folder):
    """It would start anything for whoever asks it."""
    code = f"    return float(len(os.listdir({str(folder)!r})))"
    assert trained(study, make_backend(), code).values == {"loss": 0.0}


def parent_process(folder: Path, *modules: str, env: dict[str, str] | None = None, idle_s: float = 60.0):
    """A trial parent of the test's own, as `job_start` starts it."""
    folder.mkdir(parents=True, exist_ok=True)
    code = "import sys; from hpo_tasks.backends import trial_parent as p; p.IDLE_S = float(sys.argv[1]); p.main(sys.argv[2:])"
    return subprocess.Popen(
        [sys.executable, "-c", code, str(idle_s), str(folder), "own", *modules],
        env={"PATH": os.environ["PATH"], **job_start.QUIET, **(env or {})},
    )


def threads(process: "subprocess.Popen[bytes]") -> int:
    return len(list(Path(f"/proc/{process.pid}/task").iterdir()))


def test_a_library_that_starts_threads_is_not_preloaded(tmp_path):
    """A fork would copy its locks without the threads that hold them."""
    (tmp_path / "threaded.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
    )
    parent = parent_process(tmp_path / "parents", "threaded", env={"PYTHONPATH": str(tmp_path)})
    try:
        until((tmp_path / "parents" / "own.sock").exists, "the parent listens")
        assert threads(parent) == 1
        assert Path(f"/proc/{parent.pid}/cmdline").read_bytes().rstrip(b"\0").endswith(b"--nothing")
    finally:
        parent.kill()
        parent.wait()


def test_the_libraries_of_the_trainers_start_no_threads(tmp_path):
    parent = parent_process(
        tmp_path / "parents",
        "hpo_tasks.trial.trainers.xgboost_trainer",
        "hpo_tasks.trial.trainers.random_forest_trainer",
    )
    try:
        until((tmp_path / "parents" / "own.sock").exists, "the parent listens")
        assert b"--nothing" not in Path(f"/proc/{parent.pid}/cmdline").read_bytes()
        assert threads(parent) == 1
    finally:
        parent.kill()
        parent.wait()


def test_a_parent_with_nothing_to_do_ends_and_takes_its_address_along(tmp_path):
    parent = parent_process(tmp_path / "parents", idle_s=0.1)
    assert parent.wait(30) == 0
    assert not (tmp_path / "parents" / "own.sock").exists()


def test_a_second_parent_of_the_same_name_leaves(tmp_path):
    first = parent_process(tmp_path / "parents")
    try:
        until((tmp_path / "parents" / "own.sock").exists, "the parent listens")
        assert parent_process(tmp_path / "parents").wait(30) == 0
        assert processes.holders(tmp_path / "parents" / "own.lock") == [first.pid]
    finally:
        first.kill()
        first.wait()


def test_other_code_of_ours_is_another_parent(monkeypatch, tmp_path):
    """An upgrade in place must not be served by a process with the old code."""
    package = tmp_path / "hpo_tasks"
    for name in ("backends", "trial", "trial/trainers"):
        (package / name).mkdir(parents=True)
        (package / name / "module.py").write_text("")
    monkeypatch.setattr(job_start.hpo_tasks, "__file__", str(package / "__init__.py"))
    before = parent_name([])
    os.utime(package / "trial" / "trainers" / "module.py", (4_000_000_000, 4_000_000_000))
    assert parent_name([]) != before
