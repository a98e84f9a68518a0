"""Which folders a job sees: decided on paper first, then by a real mount."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from trials import marked, until

from hpo_tasks.backends import sandbox
from hpo_tasks.backends.sandbox import View, mounts

ASIDE = "/proc/fs"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a/b/c", "a/x", "d"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    return tmp_path


@pytest.mark.parametrize(
    ("hide", "show", "steps"),
    [
        ([], [], []),
        (["a"], [], ["hide a"]),
        (["a", "a"], [], ["hide a"]),
        (["link"], [], ["hide a"]),
        (["missing"], ["missing"], []),
        (["a"], ["d"], ["hide a"]),
        (["a"], ["a"], ["hide a"]),
        (["a", "a/b"], [], ["hide a"]),
        (["a"], ["a/b"], ["keep 0 a/b", "hide a", "show a/b 0"]),
        (["a"], ["link/b"], ["keep 0 a/b", "hide a", "show a/b 0"]),
        (["a"], ["a/b", "a/x"], ["keep 0 a/b", "keep 1 a/x", "hide a", "show a/b 0", "show a/x 1"]),
        (["a", "a/b/c"], ["a/b"], ["keep 0 a/b", "hide a", "show a/b 0", "hide a/b/c"]),
        (["a", "a/b"], ["a/b/c"], ["keep 0 a/b/c", "hide a", "show a/b/c 0"]),
    ],
)
def test_the_path_that_is_nearest_decides(tree, hide, show, steps):
    def full(word: str) -> str:
        return f"{ASIDE}/{word}" if word.isdigit() else f"{tree}/{word}"

    found = mounts(View([tree / name for name in hide], [tree / name for name in show]))
    expected = [step.split() for step in steps]
    assert [[each.step, each.target, *([each.source] if each.source else [])] for each in found] == [
        [step, *map(full, paths)] for step, *paths in expected
    ]


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that other users can reach."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


ENTER = """
import os, subprocess, sys
from pathlib import Path
from hpo_tasks.backends import sandbox
hide, show, *argv = sys.argv[1:]
sandbox.enter(sandbox.View([Path(hide)], [Path(path) for path in show.split(":")]))
raise SystemExit(subprocess.run(argv).returncode)
"""
"""Enters namespaces and runs a program in them, as a runner does."""


def sandboxed(hide: Path, show: list[Path], *argv: str, **options) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", ENTER, str(hide), ":".join(map(str, show)), *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, **options)


def test_a_sandboxed_program_keeps_its_user_and_loses_its_powers(public_folder):
    """Run as root too, which many containers do: it must not be root over the mounts."""
    hidden = public_folder / "it's hidden; $(id)"
    (hidden / "shown").mkdir(parents=True)
    (hidden / "file").write_text("x")
    look = 'id -u; ls "$1"; umount "$1" 2>/dev/null && ls "$1"; grep -E "^(CapEff|CapBnd|CapPrm|NoNewPrivs)" /proc/self/status'
    done = sandboxed(hidden, [hidden / "shown"], "sh", "-c", look, "sh", str(hidden))
    lines = done.stdout.split()
    assert lines[:2] == [str(os.getuid()), "shown"], done.stderr
    found = dict(zip(lines[2::2], lines[3::2], strict=True))
    if os.getuid() != 0:  # what is left of it is out of reach: NoNewPrivs
        del found["CapBnd:"]
    assert {found.pop(name) for name in list(found) if name.startswith("Cap")} == {"0" * 16}
    assert found == {"NoNewPrivs:": "1"}


def test_the_runner_itself_is_process_1_without_powers(public_folder):
    """It is never replaced by another program, which is when the kernel would take them away."""
    look = ENTER.replace(
        "raise SystemExit", "print(os.getpid(), Path('/proc/self/status').read_text()); raise SystemExit"
    )
    done = subprocess.run(
        [sys.executable, "-c", look, str(public_folder), str(public_folder), "true"],
        capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    pid, _, status = done.stdout.partition(" ")
    assert pid == "1"
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert {fields[name] for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")} == {"0" * 16}


def test_an_ordinary_user_can_enter_too(public_folder):
    """Root gets into namespaces on every kernel that has them; the test of the other user is the interesting one."""
    if os.getuid() != 0:
        assert sandbox.available()
        return
    (public_folder / "hidden" / "shown").mkdir(parents=True)
    hidden = public_folder / "hidden"
    program = Path(sandbox.__file__).read_text() + (
        "\nimport sys\nenter(View([Path(sys.argv[1])], [Path(sys.argv[1]) / 'shown']))"
        "\nprint(os.getpid(), os.getuid(), os.listdir(sys.argv[1]))\n"
    )
    done = subprocess.run(
        ["/usr/bin/python3", "-c", program, str(hidden)],
        capture_output=True, text=True, check=False, timeout=30, user=65534, group=65534, extra_groups=[],
    )  # fmt: skip
    assert done.stdout == "1 65534 ['shown']\n", done.stderr


def test_what_a_program_writes_where_it_is_shown_stays(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    file = tmp_path / "a" / "file"
    file.write_text("old")
    script = 'echo new > "$1/b/made"; echo new > "$1/file"; echo lost > "$1/lost"'
    done = sandboxed(
        tmp_path / "a", [tmp_path / "a" / "b", file], "sh", "-c", script, "sh", str(tmp_path / "a")
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a" / "b" / "made").read_text() == "new\n"
    assert file.read_text() == "new\n"
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["b", "file"]


def test_whoever_kills_the_process_that_stayed_behind_kills_the_job(tmp_path):
    command = [sys.executable, "-c", ENTER, str(tmp_path), str(tmp_path), "sleep", "600"]
    behind = subprocess.Popen(command, env={**os.environ, "MARKER": str(tmp_path)})
    until(lambda: len(marked(f"MARKER={tmp_path}")) == 3, "the program runs")
    behind.kill()
    behind.wait()
    until(lambda: not marked(f"MARKER={tmp_path}"), "all of it is dead")


def test_where_the_kernel_says_no_there_are_no_namespaces(monkeypatch):
    def refuse(_view: View) -> None:
        raise PermissionError(1, "unshare: Operation not permitted")

    monkeypatch.setattr(sandbox, "enter", refuse)
    sandbox.available.cache_clear()
    assert not sandbox.available()
    sandbox.available.cache_clear()
