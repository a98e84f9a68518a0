"""A store that cannot keep the protocol's promises is refused by name, before anything is started."""

import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_proxy import Fault, FaultProxy
from s3_server import S3Server

from hpo_tasks.errors import HpoError, RefusedError, UnavailableError
from hpo_tasks.store import Store, open_store
from hpo_tasks.store.folder_store import FolderStore
from hpo_tasks.store.probe import RACERS

NOBODY = 65534


@pytest.fixture(scope="module")
def client(s3: S3Server, s3_proxy: FaultProxy) -> Any:
    return s3.client(s3_proxy.endpoint)


@pytest.fixture
def store(s3: S3Server, client: Any) -> Store:
    """A store behind the proxy."""
    return open_store(f"s3://{s3.new_bucket()}/hpo", client=client, patience_s=0)


@pytest.fixture
def left(s3: S3Server, store: Store) -> Iterator[list[str]]:
    """Filled after the test's probe by `objects_in`."""
    bucket = store.uri.removeprefix("s3://").partition("/")[0]
    yield (found := [])
    page = s3.shared_client.list_objects_v2(Bucket=bucket)
    assert found == [item["Key"] for item in page.get("Contents", ())] == []


@pytest.mark.usefixtures("left")
@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("if-none-match", r"s3://.*/hpo ignores If-None-Match .*: two outcomes of one trial could overwrite"),
        ("if-match", r"s3://.*/hpo ignores If-Match"),
    ],
)
def test_a_server_that_ignores_conditions_is_refused(
    store: Store, proxy: FaultProxy, header: str, says: str
) -> None:
    proxy.stripped.add(header)

    with pytest.raises(RefusedError, match=says):
        store.probe()


class TwoStepStore(FolderStore):
    """Looks first and writes then, as some servers do; all racers look before one writes."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._looked = threading.Barrier(RACERS, timeout=30)

    def create(self, key: str, data: bytes) -> bool:
        if self.read(key) is not None:
            return False
        if "race" in key:
            self._looked.wait()
        self.write(key, data)
        return True


def test_a_server_that_keeps_conditions_only_one_at_a_time_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"lets 8 of 8 concurrent writers create one object"):
        TwoStepStore(tmp_path).probe()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("left")
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
@pytest.mark.parametrize("passing", [0, 1, 5])
def test_what_a_failing_probe_wrote_is_taken_away(
    store: Store, proxy: FaultProxy, method: str, passing: int
) -> None:
    """The server refuses everything of one method after some requests of it."""
    requests = iter(range(10_000))
    denied = Fault("answer", method=method, status=403, code="AccessDenied")
    proxy.choose = lambda asked: denied if asked == method and next(requests) >= passing else None

    with pytest.raises(RefusedError, match=r"permission denied|concurrent writers"):
        store.probe()


def test_a_store_that_may_not_delete_is_refused(store: Store, proxy: FaultProxy) -> None:
    proxy.choose = lambda method: Fault("answer", "POST", 403, "AccessDenied") if method == "POST" else None

    with pytest.raises(RefusedError, match=r"DeleteObjects s3://.*: permission denied"):
        store.probe()


def test_a_missing_bucket_is_named(s3: S3Server) -> None:
    with pytest.raises(RefusedError, match=r"s3://no-such-bucket/.*: there is no such bucket: create it"):
        open_store("s3://no-such-bucket/hpo", client=s3.shared_client).probe()


def test_a_server_that_is_down_is_unavailable_not_refused(store: Store, proxy: FaultProxy) -> None:
    proxy.choose = lambda method: Fault("answer", method)

    with pytest.raises(UnavailableError, match="SlowDown"):
        store.probe()


def test_a_folder_store_is_made_by_its_probe(tmp_path: Path) -> None:
    root = tmp_path / "new" / "store"
    open_store(str(root)).probe()

    assert list(root.iterdir()) == [root / ".hpo-lock"]


def test_a_file_in_the_folders_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for root in (tmp_path / "file", tmp_path / "file" / "store"):
        with pytest.raises(RefusedError, match=f"{root}"):
            open_store(str(root)).probe()


@pytest.mark.parametrize("name", ["store", "store/new"])
def test_a_folder_without_permission_is_named(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        (Path(folder) / "store").mkdir(mode=0o555)

        message = as_nobody(open_store(f"{folder}/{name}"))

        assert message.startswith(f"RefusedError: no permission for {folder}/store")
        assert list((Path(folder) / "store").iterdir()) == []


def as_nobody(store: Store) -> str:
    """What the probe says to an unprivileged process."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        try:
            store.probe()
            os.write(send, b"passed")
        except HpoError as error:
            os.write(send, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(send)
    with os.fdopen(receive) as said:
        message = said.read()
    os.waitpid(child, 0)
    return message
