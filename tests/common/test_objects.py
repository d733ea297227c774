"""The object store on a real S3 server."""

import asyncio
import errno
import hashlib
import os
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from common.objects import Objects, ObjectStore, S3Path
from common.settings import ServiceSettings
from contracts.base import RefusalCode, Refused
from embedded.endpoints import Endpoints


@pytest.fixture
def store(settings_of: Callable[[str], ServiceSettings]) -> ObjectStore:
    return ObjectStore(Objects.from_settings(settings_of("registry")))


@pytest.fixture
def path() -> S3Path:
    return S3Path("artifacts", f"test/{uuid.uuid4().hex}/file")


async def pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.mark.parametrize("size", [0, 10, 20_000_003])
async def test_a_streamed_upload_comes_back_as_it_was(store: ObjectStore, path: S3Path, size: int) -> None:
    data = os.urandom(size)
    stored = await store.put_stream(path, pieces(data, 65_536))
    assert (stored.size, stored.sha256) == (size, hashlib.sha256(data).hexdigest())
    assert b"".join([chunk async for chunk in store.get_stream(path)]) == data


async def test_an_upload_whose_sender_fails_leaves_nothing(store: ObjectStore, path: S3Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield os.urandom(1 << 20)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await store.put_stream(path, broken())
    with pytest.raises(Refused) as refused:
        await store.stat(path)
    assert refused.value.code is RefusalCode.NOT_FOUND
    assert not await store.unfinished(path)


async def test_more_uploads_than_threads_go_on_beside_each_other(store: ObjectStore, path: S3Path) -> None:
    data = os.urandom(1 << 20)

    async def source() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield data

    async with asyncio.timeout(60):
        stored = await asyncio.gather(*(store.put_stream(path / str(number), source()) for number in range(20)))
    assert {one.size for one in stored} == {20 << 20}


async def test_slow_senders_hold_up_nobody_else(store: ObjectStore, path: S3Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(60)

    sending = [asyncio.create_task(store.put_stream(path / str(number), endless())) for number in range(16)]
    await asyncio.sleep(0.2)
    try:
        async with asyncio.timeout(5):
            await store.put_bytes(path, b"0123456789")
            assert await store.get_bytes(path) == b"0123456789"
    finally:
        for upload in sending:
            upload.cancel()
        await asyncio.gather(*sending, return_exceptions=True)


async def test_a_range_is_read(store: ObjectStore, path: S3Path) -> None:
    await store.put_bytes(path, b"0123456789")
    assert b"".join([chunk async for chunk in store.get_stream(path, offset=3, length=4)]) == b"3456"


async def test_a_directory_goes_and_comes_back(store: ObjectStore, path: S3Path, tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "a").write_text("a")
    (tmp_path / "in" / "deep" / "b").write_text("b")
    (tmp_path / "in" / "deep" / "C.JSON").write_text("{}")
    assert await store.put_directory(path, tmp_path / "in") == 4
    assert store.objects._client.stat_object(path.bucket, f"{path.key}/deep/C.JSON").content_type == "application/json"
    assert await store.get_directory(path, tmp_path / "out") == 3
    assert (tmp_path / "out" / "deep" / "b").read_text() == "b"
    assert await store.remove_prefix(path) == 3
    assert await store.list(path) == []


async def test_a_full_disk_is_not_taken_for_a_store_that_is_away(
    store: ObjectStore, path: S3Path, tmp_path: Path
) -> None:
    await store.put_bytes(path, b"x")
    (tmp_path / "file.partial").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as full:
        await store.get_file(path, tmp_path / "file")
    assert full.value.errno == errno.ENOSPC
    assert not (tmp_path / "file").exists()


async def test_what_is_not_there_is_told_so(store: ObjectStore, path: S3Path) -> None:
    with pytest.raises(Refused) as refused:
        await store.get_bytes(path)
    assert refused.value.code is RefusalCode.NOT_FOUND


@pytest.mark.parametrize("text", ["datasets/x", "s3://", "s3://b", "s3://b/", "file:///etc/passwd", "s3://b/../c"])
def test_only_s3_paths_are_read(text: str) -> None:
    with pytest.raises(ValueError, match="not an s3"):
        S3Path.parse(text)


async def test_a_service_may_not_enter_a_bucket_that_is_not_its_own(
    settings_of: Callable[[str], ServiceSettings],
) -> None:
    router = ObjectStore(Objects.from_settings(settings_of("llm_router")))
    with pytest.raises(Refused) as refused:
        await router.put_bytes(S3Path("datasets", "x"), b"x")
    assert refused.value.code is RefusalCode.STORAGE_FAILED


async def test_buckets_may_have_other_names_where_they_are(servers: Endpoints, path: S3Path) -> None:
    access = servers.administrator
    plain, prefixed = (
        Objects(access.s3_endpoint, access.s3_access_key, access.s3_secret_key, bucket_prefix=prefix)
        for prefix in ("", "elsewhere-")
    )
    prefixed.ensure_bucket(path.bucket)
    store = ObjectStore(prefixed)
    await store.put_stream(path, pieces(b"found", 2))
    assert [found.path for found in prefixed.list(path)] == [path]
    assert plain.get_bytes(S3Path(f"elsewhere-{path.bucket}", path.key)) == b"found"
    with pytest.raises(Refused):
        plain.stat(path)
