"""What a folder store keeps against links, crashes and broken disks."""

import errno
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from hpo_tasks.errors import IntegrityError, RefusedError, UnavailableError
from hpo_tasks.trial import openat
from hpo_tasks.trial.folder_objects import FolderObjects
from hpo_tasks.trial.local_files import explain

SWAP = """
import shutil, sys
from contextlib import suppress
from pathlib import Path
path, outside = Path(sys.argv[1]), Path(sys.argv[2])
while True:
    shutil.rmtree(path, ignore_errors=True)
    with suppress(FileExistsError):  # the writer made the folder again
        path.symlink_to(outside)
        path.unlink()
"""


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_text("secret")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


def test_links_are_never_followed(root: Path, outside: Path, tmp_path: Path) -> None:
    objects = FolderObjects(root)
    (root / "folder").symlink_to(outside)
    (root / "file").symlink_to(outside / "secret")
    calls: list[Callable[[], object]] = [
        lambda: objects.read("folder/secret"),
        lambda: objects.read("file"),
        lambda: objects.download("file", tmp_path / "target"),
        lambda: objects.write("folder/secret", b"x"),
        lambda: objects.create("folder/new", b"x"),
    ]

    for call in calls:
        with pytest.raises(IntegrityError, match=str(root)):
            call()
    assert list(objects.list("")) == []
    assert list(objects.list("folder/")) == []
    objects.write("file", b"an object now")
    assert objects.read("file") == b"an object now"
    assert [(path.name, path.read_text()) for path in outside.iterdir()] == [("secret", "secret")]


def test_no_write_escapes_while_folders_turn_into_links(root: Path, outside: Path) -> None:
    """Whoever can write below the root swaps a folder for a link, over and over, while objects are written."""
    objects = FolderObjects(root)
    swapper = subprocess.Popen([sys.executable, "-c", SWAP, root / "path", outside])
    results = Counter()
    deadline = time.monotonic() + 60
    try:
        while min(results["written"], results["refused"]) < 10:
            assert swapper.poll() is None
            assert time.monotonic() < deadline, f"the swaps never met a write: {results}"
            try:
                objects.write("path/secret", b"overwritten")
                results["written"] += 1
            except IntegrityError:
                results["refused"] += 1
            except UnavailableError:
                results["vanished"] += 1
    finally:
        swapper.kill()
        swapper.wait()

    assert [(path.name, path.read_text()) for path in outside.iterdir()] == [("secret", "secret")]


def test_a_root_behind_a_link_is_the_administrators_choice(root: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(root)

    assert FolderObjects(tmp_path / "alias").create("key", b"value")
    assert FolderObjects(tmp_path / "alias").uri == FolderObjects(root).uri


def test_things_that_are_no_objects_are_named(root: Path) -> None:
    objects = FolderObjects(root)
    os.mkfifo(root / "pipe")
    objects.write("file", b"")
    objects.write("folder/key", b"")
    calls: list[Callable[[], object]] = [
        lambda: objects.read("pipe"),  # and does not wait for its writer
        lambda: objects.read("file/key"),
        lambda: objects.create("file/key", b""),
        lambda: objects.create("folder", b""),
        lambda: objects.write("folder", b""),
    ]

    for call in calls:
        with pytest.raises(IntegrityError, match="is in the object's place"):
            call()
    assert sorted(objects.list("")) == ["file", "folder/key"]


def test_only_regular_files_are_uploaded(root: Path, outside: Path) -> None:
    objects = FolderObjects(root)
    (root / "link").symlink_to(outside / "secret")
    for source, says in [
        (root / "link", "is a symbolic link"),
        (outside, "is a folder"),
        (outside / "missing", "does not exist"),
    ]:
        with pytest.raises(RefusedError, match=f"{source} {says}"):
            objects.upload("key", source)
    assert list(objects.list("")) == []


def test_a_missing_root_is_not_an_empty_store(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path / "unmounted")
    calls: list[Callable[[], object]] = [
        lambda: objects.read("key"),
        lambda: objects.create("key", b""),
        lambda: list(objects.list("")),
    ]

    for call in calls:
        with pytest.raises(RefusedError, match="unmounted does not exist: create it, or mount it"):
            call()
    assert not (tmp_path / "unmounted").exists()


def test_a_write_that_fails_leaves_nothing(root: Path, tmp_path: Path) -> None:
    """The limit on file size stands for a full disk: write(2) fails in the middle of the temporary file."""
    objects = FolderObjects(root)
    objects.write("key", b"old")
    (tmp_path / "source").write_bytes(b"x" * 100_000)
    (root / "large").write_bytes(b"x" * 100_000)
    (tmp_path / "target").write_bytes(b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        for call in (
            lambda: objects.create("folder/new", b"x" * 100_000),
            lambda: objects.write("key", b"x" * 100_000),
            lambda: objects.upload("key", tmp_path / "source"),
            lambda: objects.download("large", tmp_path / "target"),
        ):
            with pytest.raises(RefusedError, match="the file is too large"):
                call()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert objects.read("key") == b"old"
    assert sorted(path.name for path in root.rglob("*")) == ["folder", "key", "large"]
    assert (tmp_path / "target").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "store", "target"]


def test_temporaries_of_a_crash_are_no_objects(root: Path) -> None:
    """A process that dies between its temporary file and the link."""
    program = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from hpo_tasks.trial.folder_objects import FolderObjects\n"
        "os.link = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"FolderObjects(Path({str(root)!r})).create('folder/key', b'value')\n"
    )
    run = subprocess.run([sys.executable, "-c", program], check=False)
    objects = FolderObjects(root)

    assert run.returncode == -9
    assert len(list((root / "folder").iterdir())) == 1
    assert list(objects.list("")) == []
    assert objects.read("folder/key") is None
    assert objects.create("folder/key", b"second try")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (errno.EACCES, "no permission for /store/key as user id"),
        (errno.EROFS, "/store/key is on a read-only file system"),
    ],
)
def test_what_a_person_must_mend_is_refused_in_plain_words(code: int, says: str) -> None:
    error = explain(OSError(code, os.strerror(code)), "/store/key")
    assert isinstance(error, RefusedError)
    assert str(error).startswith(says)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (errno.ENOSPC, "disk full at /store/key: free some space"),
        (errno.EDQUOT, "disk quota used up at /store/key: free some space or raise the quota"),
    ],
)
def test_a_full_disk_is_waited_for(code: int, says: str) -> None:
    error = explain(OSError(code, os.strerror(code)), "/store/key")
    assert isinstance(error, UnavailableError)
    assert str(error) == says


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.EMFILE, errno.ETIMEDOUT])
def test_what_may_pass_is_unavailable(code: int) -> None:
    error = explain(OSError(code, os.strerror(code)), "/store/key")
    assert isinstance(error, UnavailableError)
    assert str(error) == f"/store/key cannot be used now: {os.strerror(code)}"


def test_a_file_system_without_hard_links_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_args: object, **_kwargs: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(RefusedError, match="has no hard links"):
        FolderObjects(root).create("key", b"")
    assert list(root.iterdir()) == []


def test_a_folder_that_is_deleted_while_it_is_empty_is_made_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Empty folders of an earlier crash, say: found by the writer, and deleted before its file is in them."""
    (root / "a" / "b").mkdir(parents=True)
    make_here = openat._make_here

    def lose_and_make(folder: int, name: str) -> tuple[int, int]:
        (root / "a" / "b").rmdir()
        (root / "a").rmdir()
        return make_here(folder, name)

    monkeypatch.setattr(openat, "_make_here", lose_and_make)

    assert FolderObjects(root).create("a/b/key", b"value")
    assert (root / "a" / "b" / "key").read_bytes() == b"value"


def test_folders_that_another_writer_made_first_are_used(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = os.rename

    def come_second(*args: object, **kwargs: object) -> None:
        (root / "a" / "b").mkdir(parents=True)
        (root / "a" / "b" / "other").write_bytes(b"theirs")
        rename(*args, **kwargs)

    monkeypatch.setattr(os, "rename", come_second)

    assert FolderObjects(root).create("a/b/key", b"value")
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*")) == [
        "a",
        "a/b",
        "a/b/key",
        "a/b/other",
    ]


def test_a_link_whose_reply_was_lost_was_made(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS repeats a request whose reply got lost; the repetition says that the name exists."""
    link = os.link

    def link_twice(*args: object, **kwargs: object) -> None:
        link(*args, **kwargs)
        link(*args, **kwargs)

    monkeypatch.setattr(os, "link", link_twice)
    objects = FolderObjects(root)

    assert objects.create("key", b"first")
    assert not objects.create("key", b"second")
    assert objects.read("key") == b"first"
