"""Containers die whole, and their main process is process 1."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from aws_double.batch_site import create_queue, register_definition, wait_for
from aws_double.double import AwsDouble
from aws_double.ec2_site import run_instances, wait_online, wait_until
from aws_double.processes import ContainerProcess, namespaces_available

ENVIRONMENT = {"PATH": os.environ["PATH"]}
namespaces = pytest.mark.skipif(
    not namespaces_available(), reason="the kernel makes no process namespaces here"
)


def run(command, folder, *, act=None, **options):
    """Exit code, output and seconds of a container; `act(process)` when it has printed its first line."""
    lines, first = [], threading.Event()

    def take(new):
        lines.extend(new)
        first.set()

    process = ContainerProcess(command, ENVIRONMENT, folder, take, **options)

    def wait_and_act():
        assert first.wait(10)
        act(process)

    helper = threading.Thread(target=wait_and_act) if act else None
    if helper:
        helper.start()
    started = time.monotonic()
    code = process.run()
    if helper:
        helper.join()
    return code, lines, time.monotonic() - started


def names_in(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def processes_of(folder):
    """Living processes whose working directory is the folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("light", [False, True])
def test_output_comes_line_by_line_with_the_exit_code(tmp_path, light):
    code, lines, _ = run(["sh", "-c", "echo one; echo two >&2; printf three; exit 7"], tmp_path, light=light)
    assert (code, lines) == (7, ["one", "two", "three"])


@namespaces
def test_the_main_process_is_process_1(tmp_path):
    assert run(["sh", "-c", "echo $$"], tmp_path)[1] == ["1"]


@namespaces
def test_term_reaches_a_process_1_that_handles_it_only(tmp_path):
    handled = ["sh", "-c", "trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done"]
    assert run(handled, tmp_path, act=lambda process: process.stop())[0] == 5

    def stop_then_kill(process):
        process.stop()
        time.sleep(0.3)
        process.kill()

    code, _, seconds = run(["sh", "-c", "echo up; sleep 60; true"], tmp_path, act=stop_then_kill)
    assert code == 137
    assert 0.3 <= seconds < 10


@pytest.mark.parametrize("light", [False, True])
def test_killing_leaves_no_grandchild(tmp_path, light):
    script = "sleep 300 & sh -c 'sleep 300 & sleep 300' & echo up; wait"
    code, lines, _ = run(["sh", "-c", script], tmp_path, act=lambda process: process.kill(), light=light)
    assert (code, lines) == (137, ["up"])
    _, alive = psutil.wait_procs(processes_of(tmp_path), timeout=5 if light else 0)
    assert alive == []


@pytest.mark.parametrize("light", [False, True])
def test_the_end_of_the_main_process_ends_what_it_left_behind(tmp_path, light):
    code, lines, seconds = run(["sh", "-c", "sleep 300 & echo done"], tmp_path, light=light)
    assert (code, lines) == (0, ["done"])
    assert seconds < 10
    _, alive = psutil.wait_procs(processes_of(tmp_path), timeout=5 if light else 0)
    assert alive == []


def test_a_container_killed_before_its_start_never_starts(tmp_path):
    process = ContainerProcess(["touch", "started"], ENVIRONMENT, tmp_path, lambda _: None)
    process.kill()
    assert process.run() == 137
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_does_not_exist_ends_with_127(tmp_path):
    assert run(["no-such-program"], tmp_path)[0] == 127


@namespaces
def test_a_folder_is_seen_at_a_place_that_this_machine_does_not_have(tmp_path):
    opt_before = names_in("/opt")
    (tmp_path / "ml").mkdir()
    command = ["sh", "-c", "echo hello > /opt/ml/made; ls /opt"]
    code, lines, _ = run(command, tmp_path, binds={"/opt/ml": tmp_path / "ml"})
    assert code == 0
    assert sorted(lines) == sorted({*opt_before, "ml"})
    assert (tmp_path / "ml" / "made").read_text() == "hello\n"
    assert names_in("/opt") == opt_before


def family_names(double):
    """Names of all processes that the server has started."""
    names = []
    for process in psutil.Process(double.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            names.append(process.name())
    return names


def test_nothing_outlives_a_server_that_is_killed():
    double = AwsDouble()
    try:
        queue = create_queue(double)
        definition = register_definition(double, ["sh", "-c", "sleep 300 & sleep 300"])
        submit = double.client("batch").submit_job
        job_id = submit(jobName="sleeper", jobQueue=queue, jobDefinition=definition)["jobId"]
        wait_for(double, job_id, "RUNNING")
        (instance_id,) = run_instances(double, "#!/bin/sh\nsleep 300 &\nsetsid sleep 300\n")
        wait_online(double, instance_id)
        double.client("ssm").send_command(
            InstanceIds=[instance_id],
            DocumentName="AWS-RunShellScript",
            Parameters={"commands": ["echo up", "setsid sleep 300 &", "sleep 300"]},
        )
        wait_until(lambda: family_names(double).count("sleep") >= 7)
        family = [psutil.Process(double.pid), *psutil.Process(double.pid).children(recursive=True)]
        assert len(family) > 1
    finally:
        double.kill()
    _, alive = psutil.wait_procs(family[1:], timeout=5)
    assert alive == []


def test_importing_the_package_starts_nothing():
    code = "import aws_double.server, threading; print(threading.active_count())"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"
