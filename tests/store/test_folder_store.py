"""What the control plane's folder store keeps beyond the conformance suite."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpo_tasks.errors import UnavailableError
from hpo_tasks.store import folder_store
from hpo_tasks.store.folder_store import ABANDONED_AFTER_S, FolderStore
from hpo_tasks.trial.objects import TEMPORARY

HOLD_LOCK = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(fd, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""

DELETE = """
import sys
from hpo_tasks.store import open_store
store = open_store(sys.argv[1])
print("deleting", flush=True)
while True:
    store.delete(["a/b/other"])
"""


def test_delete_removes_the_folders_that_it_empties(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    for key in ("a/b/c/d", "a/b/e", "f/g"):
        store.write(key, b"")

    store.delete(["a/b/c/d", "f/g"])

    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == [
        "a",
        "a/b",
        "a/b/e",
    ]


def test_delete_removes_abandoned_temporaries_and_no_others(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    for folder in ("old", "new"):
        store.write(f"{folder}/key", b"")
        (tmp_path / folder / f"{TEMPORARY}crashed").write_bytes(b"half")
    long_ago = time.time() - ABANDONED_AFTER_S - 60
    os.utime(tmp_path / "old" / f"{TEMPORARY}crashed", (long_ago, long_ago))
    tree = tmp_path / "old" / f"{TEMPORARY}crashed-with-folders"
    (tree / "below").mkdir(parents=True)
    os.utime(tree, (long_ago, long_ago))

    store.delete(["old/key", "new/key"])

    assert not (tmp_path / "old").exists()
    assert [path.name for path in (tmp_path / "new").iterdir()] == [f"{TEMPORARY}crashed"]


def test_objects_can_be_made_while_their_folders_are_deleted(tmp_path: Path) -> None:
    """A delete takes away each folder that is empty; a writer needs it between making it and filling it."""
    store = FolderStore(tmp_path)
    deleter = subprocess.Popen([sys.executable, "-c", DELETE, tmp_path], stdout=subprocess.PIPE, text=True)
    try:
        assert deleter.stdout.readline() == "deleting\n"
        for number in range(100):
            assert store.create("a/b/key", b"%d" % number)
            assert store.delete(["a/b/key"]) == 1
        assert deleter.poll() is None
    finally:
        deleter.kill()
        deleter.communicate()


def test_a_lock_ends_with_its_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FolderStore(tmp_path)
    store.write("key", b"one")
    _, version = store.read_versioned("key")
    command = [sys.executable, "-c", HOLD_LOCK, tmp_path / ".hpo-lock"]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with monkeypatch.context() as patch:
            patch.setattr(folder_store, "LOCK_PATIENCE_S", 0)
            with pytest.raises(UnavailableError, match=r"\.hpo-lock has been held by another process"):
                store.replace("key", b"two", version=version)
    finally:
        holder.kill()
        holder.communicate()

    assert store.read("key") == b"one"
    assert store.replace("key", b"two", version=version)
    assert list(store.list("")) == ["key"]
