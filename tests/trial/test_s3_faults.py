"""S3 over HTTP when the server or the network fails: no object is lost, none is created twice."""

import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fault_proxy import Fault, FaultProxy
from s3_server import S3Server

from hpo_tasks.errors import RefusedError, UnavailableError
from hpo_tasks.store.s3_store import S3Store
from hpo_tasks.trial.retries import Retries
from hpo_tasks.trial.s3_objects import S3Objects


def no_pause(_pause_s: float) -> None:
    """Instead of sleeping between two tries."""


PATIENT = Retries(60, sleep=no_pause)


@pytest.fixture(scope="module")
def client(s3: S3Server, s3_proxy: FaultProxy) -> Any:
    """A client behind the proxy that soon loses its patience with a silent server."""
    return s3.client(s3_proxy.endpoint, read_timeout_s=0.5)


@pytest.fixture
def objects(s3: S3Server, client: Any) -> S3Store:
    """A store behind the proxy."""
    return S3Store(s3.new_bucket(), "hpo", client=client, retries=PATIENT)


def direct(objects: S3Objects, s3: S3Server) -> S3Objects:
    """The same store, not behind the proxy."""
    return S3Objects(objects._bucket, "hpo", client=s3.shared_client, retries=PATIENT)


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([Fault("answer")] * 3, id="503 three times"),
        pytest.param([Fault("answer", status=500, code="InternalError")], id="500"),
        pytest.param([Fault("answer", status=409, code="ConditionalRequestConflict")], id="409"),
        pytest.param([Fault("answer", status=400, code="RequestTimeout")], id="400 RequestTimeout"),
        pytest.param([Fault("drop")], id="reset before it is stored"),
        pytest.param([Fault("lose_reply")], id="reset after it is stored"),
        pytest.param([Fault("stall")], id="stored, then silence"),
        pytest.param([Fault("lose_reply"), Fault("drop"), Fault("answer")], id="one after the other"),
        pytest.param([Fault("lose_reply"), Fault("drop", method="HEAD")], id="the check fails too"),
    ],
)
def test_create_is_exact_through_faults(objects: S3Store, proxy: FaultProxy, faults: list[Fault]) -> None:
    proxy.inject(*faults)

    assert objects.create("key", b"ours")

    assert len(proxy.requests) > len(faults)
    assert objects.read("key") == b"ours"
    assert not objects.create("key", b"ours")


def test_a_lost_race_is_lost_though_the_bytes_are_the_same(
    objects: S3Store, proxy: FaultProxy, s3: S3Server
) -> None:
    """Our first try does not arrive; before the second, somebody else creates an object of the same content."""
    rival = direct(objects, s3)
    rival_created: list[bool] = []
    objects._retries = Retries(60, sleep=lambda _: rival_created.append(rival.create("key", b"same")))
    proxy.inject(Fault("drop"))

    assert not objects.create("key", b"same")
    assert rival_created == [True]


def test_replace_is_exact_when_the_reply_is_lost(objects: S3Store, proxy: FaultProxy) -> None:
    objects.write("key", b"one")
    _, version = objects.read_versioned("key")
    proxy.inject(Fault("lose_reply"))

    assert objects.replace("key", b"two", version=version)
    assert not objects.replace("key", b"three", version=version)
    assert objects.read("key") == b"two"


def test_a_client_that_repeats_by_itself_does_no_harm(
    objects: S3Store, proxy: FaultProxy, s3: S3Server
) -> None:
    """A connection's client comes with botocore's own retries: they hide that there was a first try."""
    import boto3

    settings = s3.environment()
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=proxy.endpoint,
        aws_access_key_id=settings["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=settings["AWS_SECRET_ACCESS_KEY"],
        region_name=settings["AWS_DEFAULT_REGION"],
    )
    objects = S3Store(objects._bucket, "hpo", client=client, retries=Retries(0))
    proxy.inject(Fault("lose_reply"))

    assert objects.create("key", b"ours")
    assert not objects.create("key", b"ours")


@pytest.mark.parametrize("kind", ["answer", "drop", "lose_reply", "stall", "cut"])
def test_reading_goes_on_after_a_fault(
    objects: S3Store, proxy: FaultProxy, tmp_path: Path, kind: str
) -> None:
    content = b"0123456789" * 100_000
    objects.write("a/key", content)
    calls: list[Callable[[], object]] = [
        lambda: objects.read("a/key") == content,
        lambda: objects.read_versioned("a/key")[0] == content,
        lambda: (
            objects.download("a/key", tmp_path / "target") and (tmp_path / "target").read_bytes() == content
        ),
        lambda: list(objects.list("a/")) == ["a/key"],
    ]

    for call in calls:
        proxy.requests.clear()
        proxy.inject(Fault(kind, method="GET"))
        assert call()
        assert len(proxy.requests) >= 2
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_upload_in_parts_goes_on_after_faults(
    objects: S3Store, proxy: FaultProxy, s3: S3Server, tmp_path: Path
) -> None:
    content = bytes(range(256)) * 80_000  # 20 MB: three parts
    (tmp_path / "source").write_bytes(content)
    proxy.inject(Fault("answer"), Fault("lose_reply"), Fault("answer", method="POST"))

    objects.upload("model", tmp_path / "source")

    assert objects.read("model") == content
    assert "Uploads" not in s3.shared_client.list_multipart_uploads(Bucket=objects._bucket)


def test_delete_and_copy_go_on_after_a_fault(objects: S3Store, proxy: FaultProxy) -> None:
    objects.write("key", b"value")

    proxy.inject(Fault("lose_reply"))
    objects.copy("key", "copy")
    assert objects.read("copy") == b"value"

    proxy.inject(Fault("lose_reply", method="POST"))
    assert objects.delete(["key", "copy"]) == 2
    assert list(objects.list("")) == []


def test_a_server_that_stays_down_is_named_after_the_patience(s3: S3Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    client = s3.client(f"http://127.0.0.1:{port}")
    objects = S3Objects("bucket", "hpo", client=client, retries=Retries(0))

    with pytest.raises(UnavailableError, match=rf"s3://bucket/hpo/key: S3 does not answer: .*{port}"):
        objects.create("key", b"")


def test_a_killed_server_that_comes_back_finds_the_writer_waiting() -> None:
    server = S3Server()
    bucket = server.new_bucket()
    restarts: list[str] = []

    def restart(_pause_s: float) -> None:
        server.start()
        server.shared_client.create_bucket(Bucket=bucket)  # its objects died with it
        restarts.append(server.endpoint)

    try:
        objects = S3Objects(bucket, "", client=server.client(), retries=Retries(60, sleep=restart))
        assert objects.create("before", b"1")  # so that the client holds a connection
        server.kill()

        assert objects.create("after", b"2")

        assert restarts == [server.endpoint]
        assert list(objects.list("")) == ["after"]
        assert objects.read("after") == b"2"
    finally:
        server.kill()


def test_racing_writers_through_a_bad_network(objects: S3Store, proxy: FaultProxy, s3: S3Server) -> None:
    """Of four writers, each with a third of its requests failing, exactly one creates each object."""
    proxy.fail_randomly(
        [
            Fault("answer"),
            Fault("drop"),
            Fault("lose_reply"),
            Fault("answer", method="HEAD"),
            Fault("drop", method="HEAD"),
        ],
        share=0.33,
        seed=1,
    )
    start = threading.Barrier(4)

    def writer(number: int) -> set[str]:
        start.wait()
        return {f"key{n:02d}" for n in range(25) if objects.create(f"key{n:02d}", b"writer %d" % number)}

    with ThreadPoolExecutor(4) as pool:
        created = list(pool.map(writer, range(4)))

    plain = direct(objects, s3)
    winners = {key: b"writer %d" % number for number, keys in enumerate(created) for key in keys}
    assert sum(len(keys) for keys in created) == len(winners) == 25
    assert {key: plain.read(key) for key in plain.list("")} == winners


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (
            403,
            "AccessDenied",
            "PutObject s3://.*/key: permission denied: docs/object-store.md lists the IAM actions",
        ),
        (403, "InvalidAccessKeyId", "the access key is unknown there: check the Airflow connection"),
        (403, "SignatureDoesNotMatch", "the secret key is wrong: check the Airflow connection"),
        (403, "RequestTimeTooSkewed", "this machine's clock is wrong"),
        (400, "ExpiredToken", "the temporary credentials have expired: renew them"),
        (404, "NoSuchBucket", "there is no such bucket: create it, or correct the address"),
        (501, "NotImplemented", "this server lacks a feature of S3"),
        (400, "SomethingNew", "S3 refuses: SomethingNew injected"),
    ],
)
def test_a_refusal_is_told_at_once_with_its_remedy(
    objects: S3Store, proxy: FaultProxy, status: int, code: str, says: str
) -> None:
    proxy.inject(Fault("answer", status=status, code=code))

    with pytest.raises(RefusedError, match=says):
        objects.create("key", b"")
    assert len(proxy.requests) == 1


def test_to_who_may_not_list_a_denied_read_means_that_there_is_none(
    objects: S3Store, proxy: FaultProxy
) -> None:
    """S3 says so of a missing object to a job, which has no s3:ListBucket; the control plane has it."""
    job = S3Objects(objects._bucket, "hpo", client=objects._given_client, retries=Retries(0))
    denied = Fault("answer", method="GET", status=403, code="AccessDenied")

    proxy.inject(denied, denied, Fault("answer", method="GET", status=403, code="SignatureDoesNotMatch"))
    assert job.read("key") is None
    with pytest.raises(RefusedError, match="permission denied"):
        objects.read("key")
    with pytest.raises(RefusedError, match="the secret key is wrong"):
        job.read("key")


def test_a_denied_write_is_a_refusal_to_jobs_too(objects: S3Store, proxy: FaultProxy) -> None:
    job = S3Objects(objects._bucket, "hpo", client=objects._given_client, retries=Retries(0))
    proxy.inject(Fault("answer", status=403, code="AccessDenied"))
    with pytest.raises(RefusedError, match="permission denied"):
        job.create("key", b"")


def test_the_proxy_listens_on_the_loopback_only(proxy: FaultProxy, s3: S3Server) -> None:
    assert urlsplit(proxy.endpoint).hostname == urlsplit(s3.endpoint).hostname == "127.0.0.1"
