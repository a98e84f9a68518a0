"""What every object store must keep, whatever it is made of."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from s3_server import S3Server
from store.store_worker import COUNTER, REWRITTEN, is_whole, sealed

from hpo_tasks.errors import InputError, IntegrityError
from hpo_tasks.store import Store, open_store

WORKER = Path(__file__).with_name("store_worker.py")
WEIRD_KEYS = [
    "plain",
    "with space/ leading",
    "trailing./dots...",
    "-dash/--option=1",
    "a+b&c=d;e,f@g!h$i(j)'k\"l",
    "<xml>/&amp;/]]>",
    "100%/%41/%zz/%252e",
    "?query#fragment",
    "*[a-z]{x,y}~`^|:",
    "größe/模型/модель/🌲",
    ".hidden/.../x..y",
    "con/nul/aux.txt",
    f"{'x' * 255}/{'y' * 255}/{'z' * 255}/{'é' * 66}",
]
BAD_KEYS = [
    "",
    "/etc/passwd",
    "../outside",
    "a/../../outside",
    "a/..",
    "./a",
    "a//b",
    "a/",
    "a\\b",
    "a\x00b",
    "a\nb",
    "a\x7fb",
    "a\u2028b",
    "a\uffffb",
    "%2e%2e/outside",
    "..%2foutside",
    "e\u0301",
    "\udcff",
    ".hpo-lock",
    "a/.hpo-tmp-1",
    "x" * 256,
    "/".join(["x" * 100] * 9),
]


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        root = tmp_path / "a store; with 'odd' näme%20"
        root.mkdir()
        return open_store(str(root))
    s3: S3Server = request.getfixturevalue("s3")
    return open_store(f"s3://{s3.new_bucket()}/some prefix", client=s3.shared_client)


@pytest.fixture
def environment(store: Store, request: pytest.FixtureRequest) -> dict[str, str]:
    """For processes that open the same store."""
    s3 = request.getfixturevalue("s3").environment() if store.uri.startswith("s3:") else {}
    return {**os.environ, **s3}


@contextmanager
def workers(
    action: str, store: Store, environment: dict[str, str], *, processes: int, times: int
) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes of store_worker.py that have all just been let go."""
    started = [
        subprocess.Popen(
            [sys.executable, WORKER, action, store.uri, f"worker {number}", str(times)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        for number in range(processes)
    ]
    try:
        for process in started:
            assert process.stdout.readline() == "ready\n"
        for process in started:
            process.stdin.write("go\n")
            process.stdin.flush()
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


def test_create_has_one_winner_among_processes(store: Store, environment: dict[str, str]) -> None:
    with workers("create", store, environment, processes=4, times=40) as racers:
        created = {f"worker {n}": racer.communicate()[0].split() for n, racer in enumerate(racers)}

    winners = [(key, name) for name, keys in created.items() for key in keys]
    assert sorted(key for key, _ in winners) == [f"race/{number:03d}" for number in range(40)]
    assert {key: store.read(key) for key, _ in winners} == {key: name.encode() for key, name in winners}


def test_compare_and_set_loses_no_update(store: Store, environment: dict[str, str]) -> None:
    with workers("increment", store, environment, processes=4, times=50) as counters:
        assert [counter.wait() for counter in counters] == [0, 0, 0, 0]

    assert store.read(COUNTER) == b"200"


def test_readers_see_whole_objects_only(store: Store, environment: dict[str, str], tmp_path: Path) -> None:
    store.write(REWRITTEN, sealed(0))
    seen = set()
    deadline = time.monotonic() + 60
    with workers("rewrite", store, environment, processes=1, times=0) as [writer]:
        while len(seen) < 20:
            assert writer.poll() is None
            assert time.monotonic() < deadline, f"only {len(seen)} contents seen"
            data = store.read(REWRITTEN)
            assert is_whole(data)
            assert store.download(REWRITTEN, tmp_path / "copy")
            assert is_whole((tmp_path / "copy").read_bytes())
            seen.add(data[:32])


def test_a_killed_writer_leaves_whole_objects_and_nothing_else(
    store: Store, environment: dict[str, str]
) -> None:
    store.write(REWRITTEN, sealed(0))
    first = store.read(REWRITTEN)
    for _ in range(3):
        with workers("rewrite", store, environment, processes=1, times=0) as [writer]:
            while store.read(REWRITTEN) == first:
                assert writer.poll() is None
            writer.kill()
            writer.wait()
        assert is_whole(store.read(REWRITTEN))
        first = store.read(REWRITTEN)

    assert list(store.list("")) == [REWRITTEN]


def test_create_keeps_the_first_and_write_replaces(store: Store) -> None:
    assert store.create("key", b"first")
    assert not store.create("key", b"second")
    assert not store.create("key", b"first")
    assert store.read("key") == b"first"

    store.write("key", b"third")
    assert store.read("key") == b"third"
    assert not store.create("key", b"fourth")


def test_what_is_not_there(store: Store, tmp_path: Path) -> None:
    store.write("folder/key", b"")

    for key in ("missing", "folder", "folder/missing", "missing/key"):
        assert store.read(key) is None
        assert store.read_versioned(key) is None
        assert not store.download(key, tmp_path / "target")
        assert not store.replace(key, b"x", version='"0123456789abcdef0123456789abcdef"')
        with pytest.raises(IntegrityError, match="does not exist"):
            store.copy(key, "copied")
    assert not (tmp_path / "target").exists()
    assert list(store.list("")) == ["folder/key"]
    store.delete(["missing", "missing/key", "folder"])
    assert list(store.list("missing")) == []


def test_read_refuses_more_than_its_limit(store: Store) -> None:
    store.write("key", b"12345")

    assert store.read("key", limit=5) == b"12345"
    with pytest.raises(IntegrityError, match="key has more than the 4 bytes"):
        store.read("key", limit=4)
    store.write("key", b"")
    assert store.read("key", limit=0) == b""


def test_weird_keys_stay_what_they_are(store: Store) -> None:
    for key in WEIRD_KEYS:
        assert store.create(key, key.encode())
        store.copy(key, f"copy/{key}" if len(key) < 200 else "copy/long")

    assert {key: store.read(key) for key in WEIRD_KEYS} == {key: key.encode() for key in WEIRD_KEYS}
    copies = list(store.list("copy/"))
    assert len(copies) == len(WEIRD_KEYS)
    assert sorted(set(store.list("")) - set(copies)) == sorted(WEIRD_KEYS)
    assert store.delete(WEIRD_KEYS) == len(WEIRD_KEYS)
    assert sorted(store.list("")) == sorted(copies)


def test_bad_keys_are_refused_by_every_method(store: Store, tmp_path: Path) -> None:
    store.write("good", b"")
    (tmp_path / "file").write_bytes(b"")
    methods: dict[str, Callable[[str], object]] = {
        "read": store.read,
        "read_versioned": store.read_versioned,
        "create": lambda key: store.create(key, b""),
        "write": lambda key: store.write(key, b""),
        "upload": lambda key: store.upload(key, tmp_path / "file"),
        "download": lambda key: store.download(key, tmp_path / "target"),
        "replace nothing": lambda key: store.replace(key, b"", version=None),
        "replace": lambda key: store.replace(key, b"", version="v"),
        "copy to": lambda key: store.copy("good", key),
        "copy from": lambda key: store.copy(key, "copied"),
        "delete": lambda key: store.delete([key]),
    }

    accepted = [(name, key) for name, call in methods.items() for key in BAD_KEYS if not refuses(call, key)]

    assert accepted == []
    assert list(store.list("")) == ["good"]


def refuses(call: Callable[[str], object], key: str) -> bool:
    try:
        call(key)
    except InputError as error:
        return str(error).startswith("object key ")
    return False


def test_list_takes_any_prefix(store: Store) -> None:
    keys = ["a", "ab/c", "ab/d/e", "abc", "b/ab"]
    for key in keys:
        store.write(key, b"")

    expected = {
        "": keys,
        "a": ["a", "ab/c", "ab/d/e", "abc"],
        "ab": ["ab/c", "ab/d/e", "abc"],
        "ab/": ["ab/c", "ab/d/e"],
        "ab/d": ["ab/d/e"],
        "ab/d/e": ["ab/d/e"],
        "ab/d/e/": [],
        "a/": [],
        "zz/y": [],
    }
    assert {prefix: sorted(store.list(prefix)) for prefix in expected} == expected
    with pytest.raises(InputError):
        list(store.list("../"))


def test_files_travel_unharmed(store: Store, tmp_path: Path) -> None:
    content = os.urandom(1 << 20) * 30 + b"tail"
    (tmp_path / "source").write_bytes(content)
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "target").write_bytes(b"what was there")

    store.upload("model/big", tmp_path / "source")
    store.upload("model/empty", tmp_path / "empty")

    assert store.download("model/big", tmp_path / "target")
    assert hashlib.sha256((tmp_path / "target").read_bytes()).digest() == hashlib.sha256(content).digest()
    assert store.download("model/empty", tmp_path / "new folder/empty")
    assert (tmp_path / "new folder/empty").read_bytes() == b""
    assert [path.name for path in (tmp_path / "new folder").iterdir()] == ["empty"]
    store.copy("model/big", "best/big")
    assert store.read("best/big") == content


def test_a_version_stands_for_one_content(store: Store) -> None:
    assert store.replace("key", b"one", version=None)
    assert not store.replace("key", b"other", version=None)
    data, version = store.read_versioned("key")
    assert data == b"one"

    assert store.replace("key", b"two", version=version)
    assert not store.replace("key", b"three", version=version)
    assert store.read_versioned("key")[0] == b"two"


def test_delete_takes_only_what_it_is_told(store: Store) -> None:
    for key in ("a/b/c", "a/b/d", "a/e"):
        store.write(key, b"")

    assert store.delete(iter(["a/b/c", "a/b/d"])) == 2
    assert list(store.list("")) == ["a/e"]
    assert store.delete([]) == 0


def test_probe_passes_and_leaves_nothing(store: Store) -> None:
    store.probe()

    assert list(store.list("")) == []


def test_the_address_opens_the_same_store(store: Store, request: pytest.FixtureRequest) -> None:
    store.write("key", b"value")
    client = request.getfixturevalue("s3").shared_client if store.uri.startswith("s3:") else None

    again = open_store(store.uri, client=client)

    assert again.uri == store.uri
    assert not again.uri.endswith("/")
    assert again.read("key") == b"value"
