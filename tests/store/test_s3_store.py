"""What the control plane's S3 store keeps beyond the conformance suite."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

from fault_proxy import FaultProxy
from s3_server import S3Server

from hpo_tasks.store import open_store
from hpo_tasks.store.s3_store import DELETE_BATCH


def test_more_objects_than_one_call_takes_are_listed_and_deleted(s3: S3Server, proxy: FaultProxy) -> None:
    bucket = s3.new_bucket()
    keys = [f"studies/s/{number:04d}" for number in range(DELETE_BATCH + 5)]
    put = partial(s3.shared_client.put_object, Bucket=bucket, Body=b"")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: put(Key=f"hpo/{key}"), keys))
    s3.shared_client.put_object(Bucket=bucket, Key="other/key")
    store = open_store(f"s3://{bucket}/hpo", client=s3.client(proxy.endpoint))

    assert sorted(store.list("")) == keys
    assert store.delete(keys) == len(keys)
    assert [method for method, _ in proxy.requests] == ["GET", "GET", "POST", "POST"]
    assert list(store.list("")) == []
    assert list(open_store(f"s3://{bucket}", client=s3.shared_client).list("")) == ["other/key"]


def test_objects_that_are_not_ours_are_not_listed(s3: S3Server) -> None:
    """Consoles leave markers for folders, whose keys end in a slash."""
    bucket = s3.new_bucket()
    for key in ("hpo/", "hpo/studies/", "hpo//odd", "hpo/../up", "hpo/key", "hpothesis"):
        s3.shared_client.put_object(Bucket=bucket, Key=key)

    assert list(open_store(f"s3://{bucket}/hpo", client=s3.shared_client).list("")) == ["key"]
