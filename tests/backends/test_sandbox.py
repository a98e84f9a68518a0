"""Which folders a job sees: decided on paper first, then by a real mount."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

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
        (["a"], ["a/b"], ["keep a/b 0", "hide a", "show 0 a/b"]),
        (["a"], ["link/b"], ["keep a/b 0", "hide a", "show 0 a/b"]),
        (["a"], ["a/b", "a/x"], ["keep a/b 0", "keep a/x 1", "hide a", "show 0 a/b", "show 1 a/x"]),
        (["a", "a/b/c"], ["a/b"], ["keep a/b 0", "hide a", "show 0 a/b", "hide a/b/c"]),
        (["a", "a/b"], ["a/b/c"], ["keep a/b/c 0", "hide a", "show 0 a/b/c"]),
    ],
)
def test_the_path_that_is_nearest_decides(tree, hide, show, steps):
    def full(word: str) -> str:
        return (
            f"{ASIDE}/{word}"
            if word.isdigit()
            else word
            if word in {"keep", "hide", "show"}
            else f"{tree}/{word}"
        )

    found = mounts(View([tree / name for name in hide], [tree / name for name in show]))
    assert found == [full(word) for step in steps for word in step.split()]


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that other users can reach."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize("user", sorted({os.getuid(), 65534}) if os.getuid() == 0 else [os.getuid()])
def test_a_sandboxed_program_keeps_its_user_and_loses_its_powers(public_folder, monkeypatch, user):
    """Run as root too, which many containers do: it must not be root over the mounts."""
    hidden = public_folder / "it's hidden; $(id)"
    (hidden / "shown").mkdir(parents=True)
    (hidden / "file").write_text("x")
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(os, "getegid", lambda: user)
    look = 'id -u; echo $$; ls "$1"; umount "$1" 2>/dev/null && ls "$1"; grep -E "^(CapEff|CapBnd|NoNewPrivs)" /proc/self/status'
    argv = sandbox.sandboxed(["sh", "-c", look, "sh", str(hidden)], View([hidden], [hidden / "shown"]))
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, timeout=30,
        **({"user": user, "group": user, "extra_groups": []} if os.getuid() == 0 else {}),
    )  # fmt: skip
    lines = done.stdout.split()
    assert lines[:3] == [str(user), "1", "shown"], done.stderr
    assert lines[3:] == [
        "CapEff:",
        "0" * 16,
        "CapBnd:",
        "0" * 16 if user == 0 else lines[6],
        "NoNewPrivs:",
        "1",
    ]


def test_what_a_program_writes_where_it_is_shown_stays(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    file = tmp_path / "a" / "file"
    file.write_text("old")
    script = 'echo new > "$1/b/made"; echo new > "$1/file"; echo lost > "$1/lost"'
    view = View([tmp_path / "a"], [tmp_path / "a" / "b", file])
    subprocess.run(
        sandbox.sandboxed(["sh", "-c", script, "sh", str(tmp_path / "a")], view), check=True, timeout=30
    )
    assert (tmp_path / "a" / "b" / "made").read_text() == "new\n"
    assert file.read_text() == "new\n"
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["b", "file"]


def test_without_the_tools_there_are_no_namespaces(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    sandbox.available.cache_clear()
    assert not sandbox.available()
    sandbox.available.cache_clear()


def test_where_the_kernel_says_no_there_are_no_namespaces(monkeypatch, tmp_path):
    for tool in ("unshare", "setpriv"):
        (tmp_path / tool).write_text(
            "#!/bin/sh\necho 'unshare failed: Operation not permitted' >&2\nexit 1\n"
        )
        (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    sandbox.available.cache_clear()
    assert not sandbox.available()
    sandbox.available.cache_clear()
