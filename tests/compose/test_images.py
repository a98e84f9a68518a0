"""The Dockerfiles: pinned, unprivileged, and what the image of trials holds is enough to run one."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trials import DEADLINE_S, Study

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
EXTRA_IN_IMAGE = {"setuptools"}
"""Builds the package."""


def instructions(path):
    """(instruction, rest) of a Dockerfile, continued lines joined."""
    text = re.sub(r"\\\n", " ", path.read_text())
    lines = (line.strip() for line in text.splitlines())
    return [tuple(line.split(None, 1)) for line in lines if line and not line.startswith("#")]


def sources(path):
    """What a Dockerfile copies from the checkout."""
    copies = [rest for word, rest in instructions(path) if word == "COPY" and "--from=" not in rest]
    return [source for copy in copies for source in copy.split()[:-1]]


def pins(path):
    """name → version of a requirements file."""
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", path.read_text(), re.MULTILINE))


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_base_images_are_pinned_to_the_python_of_the_tests(path):
    """The lock is tested with it."""
    images = {rest.split()[0] for word, rest in instructions(path) if word == "FROM"}
    assert len(images) == 1
    version = re.fullmatch(r"python:(\d+\.\d+)\.\d+-slim-\w+", images.pop())[1]
    assert f"--python-version {version}" in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_containers_run_as_an_unprivileged_user(path):
    """By number, so that a cluster can see it without looking into the image."""
    last = [rest for word, rest in instructions(path) if word == "USER"][-1]
    assert re.fullmatch(r"[1-9]\d*:\d+", last)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_commands_are_lists(path):
    """In the shell's form the shell would get the signals."""
    forms = [rest for word, rest in instructions(path) if word in ("ENTRYPOINT", "CMD")]
    assert forms
    assert all(isinstance(json.loads(form), list) for form in forms)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_packages_are_installed_by_hash(path):
    installs = [rest for word, rest in instructions(path) if word == "RUN" and "pip install" in rest]
    assert all(
        "--require-hashes" in rest or rest.endswith("--no-build-isolation /build") for rest in installs
    )
    assert any("--require-hashes" in rest for rest in installs)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_what_is_copied_is_in_the_build_context(path):
    """And no more than that: all else, .env above all, is left out."""
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for source in sources(path):
        assert (ROOT / source).exists()
        assert source.split("/")[0] in allowed


@pytest.mark.parametrize("lock", ["airflow-requirements.lock", "trial-requirements.lock"])
def test_images_hold_the_versions_of_the_lock(lock):
    """What is tested is what is deployed; nothing of the tests' own tools is in it."""
    tested, deployed = pins(ROOT / "requirements.lock"), pins(ROOT / "docker" / lock)
    assert deployed
    assert {name: tested.get(name) for name in deployed} == deployed
    assert not {"pytest", "moto", "ruff", "ministack"} & set(deployed)


def test_the_image_of_trials_can_run_one(tmp_path):
    """What its Dockerfile copies, beside nothing but the standard library: a trial on a folder store completes."""
    image = tmp_path / "image"
    copies = [
        rest.split() for word, rest in instructions(ROOT / "docker" / "trial.Dockerfile") if word == "COPY"
    ]
    for *names, target in copies:
        for name in names:
            place = image / target.strip("/")
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, place)
            else:
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, place)
    entry = next(
        json.loads(rest) for word, rest in instructions(ROOT / "docker" / "trial.Dockerfile") if word == "CMD"
    )
    study = Study(tmp_path)
    program = study.program("train.sh", '#!/bin/sh\necho "{\\"loss\\": $HPO_PARAM_X}" >> "$HPO_METRICS"\n')
    request = study.request([program], params={"x": 0.25})
    (tmp_path / "scratch").mkdir()
    done = subprocess.run(
        [sys.executable, "-S", *entry[1:], study.uri(request)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(image / "opt/runner"), "HPO_SCRATCH": str(tmp_path / "scratch")},
        cwd=tmp_path / "scratch",
        capture_output=True,
        timeout=DEADLINE_S,
        text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    outcome = study.outcome(request)
    assert (outcome.cls, outcome.values) == ("complete", {"loss": 0.25})
