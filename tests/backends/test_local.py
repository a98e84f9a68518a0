"""The local backend: one training whoever submits and whoever dies, and nothing left of a job that was ended."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from trials import marked, until

from hpo_tasks.backends import host_shares, job_start, local
from hpo_tasks.backends.base import JobStatus
from hpo_tasks.backends.local import LocalBackend
from hpo_tasks.errors import InputError, RefusedError, UnavailableError
from hpo_tasks.trial import processes

SUBMITTER = Path(__file__).parent / "submitter.py"
ENDED = JobStatus("ended")


def ledger_program(study, *, then: str = "") -> list[str]:
    """A program that notes each of its runs in a ledger outside of its scratch folder, then reports."""
    path = shlex.quote(str(study.folder / "ledger"))
    return [
        study.program(
            "train.sh", f"#!/bin/sh\necho run >> {path}\n{then}\n" + "echo '{\"loss\": 1}' > $HPO_METRICS\n"
        )
    ]


def trainings(study) -> int:
    path = study.folder / "ledger"
    return len(path.read_text().splitlines()) if path.exists() else 0


def waiting_program(study) -> list[str]:
    return ledger_program(study, then="echo up; exec sleep 600")


def ended(backend, request) -> JobStatus:
    return until(lambda: _if_ended(backend.poll([request.job])[request.job]), "the job has ended")


def _if_ended(status: JobStatus) -> JobStatus | None:
    return status if status.state == "ended" else None


def up(backend, request) -> None:
    until(lambda: "up" in backend.log_tail(request.job), "the program is up")


def submitter(study, request, isolate, *where: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, SUBMITTER, study.root, study.folder / "state", study.root / study.key(request).request,
         "namespaces" if isolate else "plain", *where],
        env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip


def test_namespaces_are_available_here(make_backend):
    """Or else half of the tests below would test the same thing twice."""
    assert make_backend().isolated
    assert not make_backend(isolate=False).isolated


def test_a_job_from_submission_to_outcome(study, backend):
    request = study.request(ledger_program(study, then="echo hello"))
    assert backend.poll([request.job]) == {request.job: JobStatus("unknown")}
    assert backend.log_tail(request.job) == ""
    backend.submit(request)
    assert ended(backend, request) == ENDED
    assert study.outcome(request).values == {"loss": 1.0}
    assert backend.log_tail(request.job) == "hello\n"
    backend.submit(request)  # adopts the ended job
    assert backend.poll([request.job]) == {request.job: ENDED}
    assert trainings(study) == 1
    assert list((study.folder / "state" / "jobs").iterdir()) == []


def test_many_jobs_are_polled_at_once(study, backend):
    requests = [study.request(ledger_program(study), slot=slot) for slot in range(4)]
    for request in requests:
        backend.submit(request)
    jobs = [request.job for request in requests]
    until(lambda: {status.state for status in backend.poll(jobs).values()} == {"ended"})
    assert {study.outcome(request).cls for request in requests} == {"complete"}


def test_a_running_job_shows_its_state_and_its_last_lines(study, backend, make_backend, isolate):
    request = study.request(waiting_program(study))
    backend.submit(request)
    up(backend, request)
    other = make_backend(isolate=isolate)
    assert other.poll([request.job])[request.job].state == "running"
    other.submit(request)  # adopts the running job
    other.stop(request.job, grace_s=2.0)
    assert trainings(study) == 1


def test_four_submitters_at_once_start_one_training(study, backend, isolate):
    request = study.request(ledger_program(study, then="sleep 0.3"))
    submitters = [submitter(study, request, isolate) for _ in range(4)]
    assert [each.wait(30) for each in submitters] == [0, 0, 0, 0]
    assert ended(backend, request) == ENDED
    assert trainings(study) == 1


@pytest.mark.parametrize(
    "where",
    [f"{moment}:{name}" for name in ("lock", "look", "start", "note") for moment in ("before", "after")],
)
def test_a_submitter_that_is_killed_at_any_step_costs_no_second_training(study, backend, isolate, where):
    """What a retry of the task does: look, submit if unknown, wait. One training, and no attempt lost."""
    request = study.request(ledger_program(study, then="sleep 0.2"))
    assert submitter(study, request, isolate, where).wait(30) == -signal.SIGKILL

    def retried() -> bool:
        status = backend.poll([request.job])[request.job]
        if status.state == "unknown":
            backend.submit(request)
        return status == ENDED

    until(retried, "the job has ended")
    assert study.outcome(request).cls == "complete"
    assert trainings(study) == 1


def test_a_job_outlives_the_process_group_of_its_submitter(study, backend, isolate):
    request = study.request(waiting_program(study))
    script = subprocess.Popen(
        [sys.executable, SUBMITTER, study.root, study.folder / "state", study.root / study.key(request).request,
         "namespaces" if isolate else "plain"], start_new_session=True,
    )  # fmt: skip
    assert script.wait(30) == 0
    up(backend, request)
    with pytest.raises(ProcessLookupError):
        os.killpg(script.pid, signal.SIGKILL)
    assert backend.poll([request.job])[request.job].state == "running"
    backend.stop(request.job, grace_s=1.0)


DAEMON = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print("up", flush=True)
        time.sleep(600)
    os._exit(0)
time.sleep(600)
"""


@pytest.fixture
def stubborn(study):
    """A job's request: ignores SIGTERM and has a daemon in a session of its own."""
    study.program("train.py", DAEMON)
    return study.request([sys.executable, "train.py"])


def test_stop_ends_everything_a_job_started(study, backend, stubborn):
    backend.submit(stubborn)
    up(backend, stubborn)
    backend.stop(stubborn.job, grace_s=5.0)
    assert marked(study.marker) == []
    assert ended(backend, stubborn) == ENDED
    assert study.outcome(stubborn).cls == "interrupted"
    backend.stop(stubborn.job, grace_s=5.0)  # no error if it is dead


def test_stop_does_not_wait_for_a_runner_that_hangs(study, backend, stubborn, monkeypatch):
    monkeypatch.setattr(local, "REPORT_S", 0.0)
    backend.submit(stubborn)
    up(backend, stubborn)
    for runner in backend._runners(stubborn.job):
        os.kill(runner, signal.SIGSTOP)
    backend.stop(stubborn.job, grace_s=0.2)
    assert marked(study.marker) == []
    assert ended(backend, stubborn) == JobStatus("ended", "infra", "the process is gone")


def test_stop_of_a_job_that_never_was_or_is_long_dead(study, backend):
    request = study.request(ledger_program(study))
    backend.stop(request.job, grace_s=5.0)
    backend.submit(request)
    ended(backend, request)
    backend.stop(request.job, grace_s=5.0)
    assert study.outcome(request).cls == "complete"


def test_a_job_can_be_stopped_as_soon_as_it_is_submitted(study, backend):
    """Whatever it was just doing: starting, mounting, not yet listening to signals."""
    for slot in range(5):
        request = study.request(waiting_program(study), slot=slot)
        backend.submit(request)
        time.sleep(0.01 * slot)  # not a wait for something: each time another moment of the start
        backend.stop(request.job, grace_s=1.0)
        assert backend.poll([request.job])[request.job].state == "ended"
    assert marked(study.marker) == []


def test_a_runner_that_is_killed_takes_all_with_it(study, backend, stubborn):
    backend.submit(stubborn)
    up(backend, stubborn)
    (runner,) = backend._runners(stubborn.job)
    os.kill(runner, signal.SIGKILL)
    assert ended(backend, stubborn) == JobStatus("ended", "infra", "the process is gone")
    assert marked(study.marker) == []
    assert list((study.folder / "state" / "jobs" / stubborn.job).glob("scratch/*")) == []
    backend.submit(stubborn)  # not again: the attempt is spent
    assert ended(backend, stubborn).cls == "infra"


def test_a_runner_that_cannot_do_its_work_says_why(study, backend):
    request = study.request(ledger_program(study))
    (study.root / study.key(request).request).write_text("torn")
    backend.submit(request)
    status = ended(backend, request)
    assert status.cls == "infra"
    assert status.reason.startswith("the runner ended: request: not JSON")
    assert "request: not JSON" in backend.log_tail(request.job)


def test_a_process_that_got_the_pid_of_a_dead_job_is_left_alone(study, backend):
    """Nothing that lies in the state folder makes the backend signal a process that does not belong to the job."""
    bystander = subprocess.Popen(["sleep", "600"])
    try:
        request = study.request(waiting_program(study))
        backend.submit(request)
        up(backend, request)
        folder = study.folder / "state" / "jobs" / request.job
        document = json.loads((folder / "job.json").read_bytes()) | {"pid": bystander.pid}
        (folder / "job.json").write_text(json.dumps(document))
        started = study.root / study.key(request).started
        started.write_text(json.dumps(json.loads(started.read_bytes()) | {"pid": bystander.pid}))
        backend.stop(request.job, grace_s=1.0)
        backend.stop(request.job, grace_s=1.0)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_job_of_another_host_is_waited_for_until_its_hard_end(study, make_backend):
    backend, request = make_backend(), study.request(ledger_program(study))
    key = study.key(request)
    begun = {
        "schema": 1,
        "job": request.job,
        "host": "other.example",
        "pid": 1,
        "time": "2999-01-01T00:00:00+00:00",
    }
    study.objects.create(key.started, json.dumps(begun).encode())
    backend.submit(request)  # adopts it
    with pytest.raises(UnavailableError, match=r"other\.example"):
        backend.poll([request.job])
    study.objects.write(key.started, json.dumps(begun | {"time": "2020-01-01T00:00:00+00:00"}).encode())
    assert backend.poll([request.job])[request.job] == JobStatus(
        "ended", "infra", "host other.example was lost"
    )
    assert trainings(study) == 0


@pytest.mark.parametrize(
    "begun", [b"", b"[]", b'{"host": 3}', b'{"host": "x", "time": "x"}', b"[" * 100_000, b"x" * (2 << 20)]
)
def test_a_claim_that_the_job_has_damaged_is_one_of_this_host(study, make_backend, begun):
    backend, request = make_backend(), study.request(ledger_program(study))
    study.objects.create(study.key(request).started, begun)
    assert backend.poll([request.job])[request.job].cls == "infra"


def test_a_job_on_another_host_with_the_same_state_folder(study, make_backend, monkeypatch):
    backend, request = make_backend(), study.request(waiting_program(study))
    backend.submit(request)
    up(backend, request)
    for runner in backend._runners(request.job):
        os.kill(runner, signal.SIGKILL)
    until(lambda: not backend._is_alive(request.job))
    folder = study.folder / "state" / "jobs" / request.job
    document = json.loads((folder / "job.json").read_bytes()) | {"host": "other.example"}
    (folder / "job.json").write_text(json.dumps(document))
    with pytest.raises(UnavailableError, match=r"other\.example"):
        backend.poll([request.job])
    (folder / "job.json").write_text(json.dumps(document | {"hard_end": 0}))
    assert backend.poll([request.job])[request.job].cls == "infra"


@pytest.mark.parametrize("job", ["", "hpo-../../etc-0-0-1", "hpo-a-0-0", "other", "hpo-a-0-0-1/../../x"])
def test_names_that_are_no_jobs_are_refused(make_backend, job):
    backend = make_backend()
    calls = [
        partial(backend.poll, [job]),
        partial(backend.stop, job, grace_s=1.0),
        partial(backend.log_tail, job),
    ]
    for call in calls:
        with pytest.raises(RefusedError, match="not the name of a job"):
            call()


def test_a_store_on_s3_is_refused(tmp_path):
    with pytest.raises(InputError, match="need a folder"):
        LocalBackend("s3://bucket/prefix", tmp_path)


# Processors and GPUs.


def test_each_job_gets_its_own_processors_while_there_are_enough(study, backend, monkeypatch):
    monkeypatch.setattr(host_shares, "processors", lambda: ["0", "1"])
    program = study.program(
        "cpus.sh", "#!/bin/sh\necho cpus=$(taskset -cp $$ | sed 's/.*: //') up\nexec sleep 600\n"
    )
    requests = [study.request([program], slot=slot) for slot in range(3)]
    for request in requests:
        backend.submit(request)
        up(backend, request)
    seen = [backend.log_tail(request.job).split()[0] for request in requests]
    for request in requests:
        backend.stop(request.job, grace_s=1.0)
    assert sorted(seen[:2]) == ["cpus=0", "cpus=1"]
    assert seen[2] != "cpus="
    assert seen[2] == f"cpus={_all_processors()}"


def _all_processors() -> str:
    return (
        subprocess.run(["taskset", "-cp", str(os.getpid())], capture_output=True, text=True, check=True)
        .stdout.split(": ")[1]
        .strip()
    )


def test_a_job_waits_for_a_gpu_without_being_told_again(study, backend, monkeypatch):
    monkeypatch.setenv("HPO_GPUS", "2")
    program = study.program("gpus.sh", "#!/bin/sh\necho gpus=$CUDA_VISIBLE_DEVICES up\nexec sleep 600\n")
    first, second, both = (
        study.request([program], slot=slot, gpus=gpus) for slot, gpus in ((0, 1), (1, 1), (2, 2))
    )
    for request in (first, second):
        backend.submit(request)
        up(backend, request)
    backend.submit(both)
    assert backend.poll([both.job])[both.job].state == "pending"
    assert sorted(backend.log_tail(each.job).split()[0] for each in (first, second)) == ["gpus=0", "gpus=1"]
    backend.stop(first.job, grace_s=1.0)
    assert backend.poll([both.job])[both.job].state == "pending"
    backend.stop(second.job, grace_s=1.0)
    up(backend, both)
    assert backend.log_tail(both.job).split()[0] == "gpus=0,1"
    backend.stop(both.job, grace_s=1.0)


def test_a_job_that_waits_for_a_gpu_can_be_stopped(study, backend, monkeypatch):
    monkeypatch.setenv("HPO_GPUS", "7")
    requests = [study.request(waiting_program(study), slot=slot, gpus=7) for slot in range(3)]
    for request in requests:
        backend.submit(request)
    up(backend, requests[0])
    for request in reversed(requests):
        backend.stop(request.job, grace_s=1.0)
    assert {status.state for status in backend.poll([request.job for request in requests]).values()} == {
        "ended"
    }
    assert marked(study.marker) == []


def test_more_gpus_than_this_host_has_are_refused(study, make_backend, monkeypatch):
    monkeypatch.setenv("HPO_GPUS", "a, b")
    request = study.request(["true"], gpus=3)
    with pytest.raises(RefusedError, match="asks for 3, this host has 2"):
        make_backend().submit(request)
    assert make_backend().poll([request.job])[request.job].state == "unknown"


# What a trial sees.


def test_a_trial_in_namespaces_sees_no_other_process_and_no_hidden_file(study, make_backend):
    private = study.folder / "private"
    (private / "shown" / "secret").mkdir(parents=True)
    (private / "password").write_text("x")
    (private / "shown" / "data").write_text("data")
    (private / "shown" / "secret" / "key").write_text("x")
    netrc = study.folder / "netrc"
    netrc.write_text("x")
    other = study.root / "studies" / "other" / "outcome.json"
    other.parent.mkdir(parents=True)
    other.write_text("x")
    look = f"""
import json, os, pathlib, subprocess
def read(path):
    try:
        return pathlib.Path(path).read_text()
    except OSError as error:
        return type(error).__name__
def listed(path):
    return sorted(os.listdir(path))
undo = subprocess.run("umount {private}; umount -l {private}; unshare -Ur umount {private}; unshare -Urm umount {private}",
                      shell=True, capture_output=True)
print(json.dumps({{
    "parent": read("/proc/{os.getpid()}/environ"), "processes": len([n for n in os.listdir("/proc") if n.isdigit()]),
    "private": listed("{private}"), "shown": read("{private}/shown/data"), "secret": listed("{private}/shown/secret"),
    "netrc": read("{netrc}"), "studies": listed("{study.root}/studies"), "jobs": len(listed("{study.folder}/state/jobs")),
    "uid": os.getuid(), "own": os.stat("{study.root}/studies/{study.id}/000").st_uid,
    "can_write": os.access("{study.root}/studies/{study.id}", os.W_OK),
}}))
"""
    study.program("look.py", look)
    backend = make_backend(
        hide=[private, private / "shown" / "secret", netrc, study.folder / "not-there"],
        show=[private / "shown"],
    )
    waiting = study.request(waiting_program(study), slot=1)
    backend.submit(waiting)
    request = study.request([sys.executable, "look.py"])
    backend.submit(request)
    ended(backend, request)
    backend.stop(waiting.job, grace_s=1.0)
    seen = json.loads(study.outcome(request).log_tail)
    assert seen == {
        "parent": "FileNotFoundError", "processes": 2, "private": ["shown"], "shown": "data", "secret": [], "netrc": "",
        "studies": [study.id], "jobs": 1, "uid": os.getuid(), "own": os.getuid(), "can_write": True,
    }  # fmt: skip


def test_the_runner_itself_has_nothing_to_hide(study, make_backend, monkeypatch):
    """The program can read what its runner was started with: nothing of the submitter's is in it."""
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://user:secret@host/db")
    program = study.program("env.sh", "#!/bin/sh\ntr '\\0' '\\n' < /proc/1/environ | sed 's/=.*//' | sort\n")
    backend, request = make_backend(), study.request([program])
    backend.submit(request)
    ended(backend, request)
    assert set(study.outcome(request).log_tail.split()) <= {
        "LANG",
        "PATH",
        *job_start.QUIET,
    }


def test_the_live_log_is_never_read_through_a_link(study, backend):
    """The backend sees more than the trial: it must not read for the trial what that cannot see."""
    secret = study.folder / "secret"
    secret.write_text("very secret")
    # While it shows its lines by way of a temporary file, a folder of that name stands in the runner's way.
    link = f"mkdir ../log-tail.tmp; rm ../log-tail.txt; ln -s {secret} ../log-tail.txt; echo x > {study.folder}/linked"
    program = f"echo up\nuntil test -e ../log-tail.txt; do sleep 0.05; done\n{link}\nexec sleep 600\n"
    request = study.request([study.program("train.sh", f"#!/bin/sh\n{program}")])
    backend.submit(request)
    until((study.folder / "linked").exists)
    assert "secret" not in backend.log_tail(request.job)
    backend.stop(request.job, grace_s=1.0)


@pytest.mark.parametrize("marker", ["report", "outcome"])
def test_whatever_lies_in_the_place_of_an_outcome_ends_the_job(study, make_backend, marker):
    backend, request = make_backend(), study.request(ledger_program(study))
    key = study.key(request)
    place = study.root / (key.report if marker == "report" else key.trial.outcome)
    with place.open("wb") as file:
        file.truncate(1 << 40)  # more than any memory
    key_log = study.root / key.log
    key_log.symlink_to("/etc/passwd")
    backend.submit(request)
    assert backend.poll([request.job])[request.job] == ENDED
    assert backend.log_tail(request.job) == ""
    assert trainings(study) == 0


def test_descendants_are_found_whatever_their_names(tmp_path):
    """The name in /proc/<pid>/stat may hold spaces and parentheses."""
    tool = tmp_path / "a) R 1 (b"
    tool.symlink_to("/bin/sleep")
    child = subprocess.Popen([tool, "600"])
    try:
        found = {each.pid: each for each in processes.descendants(os.getpid())}
        assert found[child.pid].parent == os.getpid()
        # Right after exec it may hold no page yet.
        until(lambda: {e.pid: e for e in processes.descendants(os.getpid())}[child.pid].resident_bytes > 0)
    finally:
        child.kill()
        child.wait()
    assert child.pid not in processes.running()
