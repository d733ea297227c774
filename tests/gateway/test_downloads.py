"""Downloads: one file as it is, several as a tar that is made while it is sent, or a URL of the object store."""

import hashlib
import io
import json
import tarfile
import tracemalloc
import uuid
from collections.abc import AsyncIterator

import aiohttp
import pytest

from common.objects import ObjectStore, S3Path
from contracts.base import RefusalCode, Refused
from contracts.registry import GET_DOWNLOAD, Download, ModelFile
from tests.gateway.conftest import ADMIN_KEY, Gateway
from tests.gateway.peers import Peers

PATH = "/api/v1/models/model_abc123/download"


@pytest.fixture
async def folder(objects: ObjectStore) -> AsyncIterator[S3Path]:
    path = S3Path("artifacts", f"tests/{uuid.uuid4().hex}")
    yield path
    await objects.remove_prefix(path)


async def export(objects: ObjectStore, folder: S3Path, files: dict[str, bytes]) -> Download:
    for name, data in files.items():
        await objects.put_bytes(folder / name, data)
    listed = [
        ModelFile(name=name, bucket=folder.bucket, key=(folder / name).key, size=len(data))
        for name, data in files.items()
    ]
    return Download(model_id="model_abc123", model_name="mine", format="adapter", files=listed)


async def fetch(
    gateway: Gateway, path: str, *, method: str = "GET", **more: str
) -> tuple[bytes, aiohttp.ClientResponse]:
    headers = {
        "Authorization": f"Bearer {ADMIN_KEY}",
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    async with gateway.client.request(method, gateway.url + path, headers=headers) as response:
        return await response.read(), response


async def test_one_file_comes_as_it_is(gateway: Gateway, peers: Peers, objects: ObjectStore, folder: S3Path) -> None:
    peers.answer(GET_DOWNLOAD, await export(objects, folder, {"größe.gguf": b"weights"}))
    data, response = await fetch(gateway, PATH + "?format=gguf")
    assert data == b"weights"
    assert response.content_length == 7
    told = "attachment; filename=\"gr__e.gguf\"; filename*=UTF-8''gr%C3%B6%C3%9Fe.gguf"
    assert response.headers["Content-Disposition"] == told
    assert peers.asked(GET_DOWNLOAD).format == "gguf"
    nothing, told = await fetch(gateway, PATH + "?format=gguf", method="HEAD", Range="bytes=1-")
    assert (nothing, told.status) == (b"", 200)
    for header in ("Content-Length", "Content-Type", "Content-Disposition", "ETag", "Accept-Ranges"):
        assert told.headers[header] == response.headers[header]


async def test_several_files_come_as_an_archive_of_known_length(
    gateway: Gateway, peers: Peers, objects: ObjectStore, folder: S3Path
) -> None:
    files = {"adapter_config.json": b"{}", "adapter_model.safetensors": b"w" * 3_000_000, "tokenizer/empty": b""}
    peers.answer(GET_DOWNLOAD, await export(objects, folder, files))
    data, response = await fetch(gateway, PATH)
    assert response.content_type == "application/x-tar"
    assert response.content_length == len(data)
    assert response.headers["Content-Disposition"].endswith("mine-adapter.tar")
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        read = {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]
    assert read == {f"mine-adapter/{name}": content for name, content in files.items()}
    assert peers.asked(GET_DOWNLOAD).format == "adapter"


FILES = {"config.json": b"{}", "weights": bytes(range(256)) * 40, "tokenizer/empty": b"", "last": b"!" * 700}


async def test_an_archive_can_be_taken_up_at_any_byte(
    gateway: Gateway, peers: Peers, objects: ObjectStore, folder: S3Path
) -> None:
    peers.answer(GET_DOWNLOAD, await export(objects, folder, FILES))
    whole, first = await fetch(gateway, PATH)
    tag = first.headers["ETag"]
    # In a header, in a file, in the padding behind it, and at the end.
    for start in (1, 511, 512, 514, 1024 + 512 + 300, len(whole) - 1500, len(whole) - 1):
        rest, response = await fetch(gateway, PATH, Range=f"bytes={start}-", If_Range=tag)
        assert (response.status, rest) == (206, whole[start:])
        assert response.headers["Content-Range"] == f"bytes {start}-{len(whole) - 1}/{len(whole)}"
    middle, _ = await fetch(gateway, PATH, Range="bytes=700-2600")
    assert middle == whole[700:2601]


async def test_nobody_goes_on_with_something_else(
    gateway: Gateway, peers: Peers, objects: ObjectStore, folder: S3Path
) -> None:
    peers.answer(GET_DOWNLOAD, await export(objects, folder, FILES))
    _, first = await fetch(gateway, PATH)
    await objects.put_bytes(folder / "last", b"?" * 700)
    whole, response = await fetch(gateway, PATH, Range="bytes=100-", If_Range=first.headers["ETag"])
    assert response.status == 200
    assert b"?" * 700 in whole


@pytest.mark.parametrize("part", ["bytes=7-", "bytes=999999999-9999999999"])
async def test_of_a_part_without_a_byte_is_said_how_many_there_are(
    part: str, gateway: Gateway, peers: Peers, objects: ObjectStore, folder: S3Path
) -> None:
    """So that who goes on with a download that is whole hears that it is."""
    peers.answer(GET_DOWNLOAD, await export(objects, folder, {"model.gguf": b"weights"}))
    data, response = await fetch(gateway, PATH, Range=part)
    assert (response.status, response.headers["Content-Range"]) == (416, "bytes */7")
    assert json.loads(data)["error"] == "VALIDATION_ERROR"


@pytest.mark.parametrize("part", ["bytes=5-2", "lines=1-", "bytes=0-1,4-5", "?"])
async def test_of_a_part_that_is_not_understood_the_whole_is_sent(
    part: str, gateway: Gateway, peers: Peers, objects: ObjectStore, folder: S3Path
) -> None:
    peers.answer(GET_DOWNLOAD, await export(objects, folder, {"model.gguf": b"weights"}))
    data, response = await fetch(gateway, PATH, Range=part)
    assert (response.status, data) == (200, b"weights")


async def test_memory_stays_bounded_whatever_the_size(
    gateway: Gateway, peers: Peers, objects: ObjectStore, folder: S3Path
) -> None:
    one = b"w" * (24 * 1024 * 1024)
    peers.answer(GET_DOWNLOAD, await export(objects, folder, {"a": one, "b": one}))
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    tracemalloc.start()
    try:
        async with gateway.client.get(gateway.url + PATH, headers=headers) as response:
            size = 0
            async for chunk in response.content.iter_chunked(1 << 16):
                size += len(chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 2 * len(one)
    assert peak < 16 * 1024 * 1024, f"{peak / 2**20:.0f} MiB"


async def test_a_url_of_the_object_store_needs_no_key(
    gateway: Gateway, peers: Peers, objects: ObjectStore, folder: S3Path
) -> None:
    peers.answer(GET_DOWNLOAD, await export(objects, folder, {"model-Q8_0.gguf": b"weights"}))
    body = await gateway.get(PATH + "?format=gguf&presigned=true")
    assert body["expires_in"] == 3600
    async with aiohttp.ClientSession() as anyone, anyone.get(body["url"]) as response:
        assert await response.read() == b"weights"
        assert response.content_disposition is not None
        assert response.content_disposition.filename == "mine-Q8_0.gguf"


async def test_each_file_of_several_has_a_url(
    gateway: Gateway, peers: Peers, objects: ObjectStore, folder: S3Path
) -> None:
    peers.answer(GET_DOWNLOAD, await export(objects, folder, {"a": b"1", "b/c.json": b"22"}))
    body = await gateway.get(PATH + "?presigned=true")
    assert body["url"] is None
    assert [(file["name"], file["size"]) for file in body["files"]] == [("a", 1), ("b/c.json", 2)]
    async with aiohttp.ClientSession() as anyone, anyone.get(body["files"][1]["url"]) as response:
        assert await response.read() == b"22"
        assert response.content_type == "application/json"


async def test_an_archive_brings_the_checksums_of_its_files(
    gateway: Gateway, peers: Peers, objects: ObjectStore, folder: S3Path
) -> None:
    download = await export(objects, folder, {"a": b"1", "b": b"22"})
    known = [
        file.model_copy(update={"sha256": hashlib.sha256(content).hexdigest()})
        for file, content in zip(download.files, (b"1", b"22"), strict=True)
    ]
    peers.answer(GET_DOWNLOAD, download.model_copy(update={"files": known}))
    data, response = await fetch(gateway, PATH)
    assert response.content_length == len(data)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        sums = tar.extractfile("mine-adapter/SHA256SUMS").read().decode()  # type: ignore[union-attr]
    assert sums == "".join(f"{file.sha256}  {file.name}\n" for file in known)


async def test_a_gguf_file_is_named_by_its_model_and_type(
    gateway: Gateway, peers: Peers, objects: ObjectStore, folder: S3Path
) -> None:
    peers.answer(GET_DOWNLOAD, await export(objects, folder, {"model-Q8_0.gguf": b"GGUF"}))
    _, response = await fetch(gateway, PATH + "?format=gguf&quantization=Q8_0")
    assert response.headers["Content-Disposition"].endswith("mine-Q8_0.gguf")
    assert peers.asked(GET_DOWNLOAD).quantization == "Q8_0"


@pytest.mark.parametrize("query", ["?format=onnx", "?presigned=perhaps"])
async def test_a_query_that_does_not_fit_is_refused(query: str, gateway: Gateway, peers: Peers) -> None:
    assert (await gateway.call("GET", PATH + query))[0] == 400
    assert not peers.heard


async def test_an_export_that_there_is_not_is_refused(gateway: Gateway, peers: Peers) -> None:
    peers.answer(GET_DOWNLOAD, Refused(RefusalCode.NOT_FOUND, "No gguf export"))
    status, body, _ = await gateway.call("GET", PATH + "?format=gguf")
    assert (status, body["error"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("names", [["gone"], ["gone", "also"]])
async def test_an_object_that_is_gone_is_refused_before_anything_is_sent(
    names: list[str], gateway: Gateway, peers: Peers, folder: S3Path
) -> None:
    files = [ModelFile(name=name, bucket=folder.bucket, key=(folder / name).key, size=4) for name in names]
    peers.answer(GET_DOWNLOAD, Download(model_id="m", model_name="mine", format="adapter", files=files))
    status, body, _ = await gateway.call("GET", PATH)
    assert (status, body["error"]) == (404, "NOT_FOUND")


async def test_an_archive_that_cannot_be_finished_does_not_look_whole(
    gateway: Gateway, peers: Peers, objects: ObjectStore, folder: S3Path
) -> None:
    download = await export(objects, folder, {"a": b"1" * 100_000, "b": b"2" * 100_000})
    await objects.put_bytes(folder / "b", b"2" * 99_999)
    peers.answer(GET_DOWNLOAD, download)
    with pytest.raises(aiohttp.ClientError):
        await fetch(gateway, PATH)
