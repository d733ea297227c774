"""Uploads stream to the object store, are bounded on the way, and leave nothing behind when they are refused."""

import asyncio
import hashlib
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from common.objects import ObjectStore, S3Path
from contracts.base import RefusalCode, Refused
from contracts.registry import GET_DATASET, REGISTER_DATASET, Dataset, GetDataset, RegisterDataset
from tests.gateway.conftest import ADMIN_KEY, Gateway, Start
from tests.gateway.peers import Peers, dataset

PATH = "/api/v1/datasets/upload"
CSV = b"text,label\na,b\n"
BUCKET = S3Path("datasets", "ds_")
BOUNDARY = "edge"


def form(data: Any = CSV, filename: str = "a.csv", **fields: str) -> aiohttp.FormData:
    made = aiohttp.FormData(quote_fields=False)
    made.add_field("file", data, filename=filename, content_type="text/csv")
    for name, value in fields.items():
        made.add_field(name, value)
    return made


def entered(request: RegisterDataset) -> Dataset:
    return dataset(
        request.dataset_id,
        filename=request.filename,
        s3_path=request.s3_path,
        size_bytes=request.size_bytes,
        sha256=request.sha256,
    )


async def send(gateway: Gateway, data: Any, **options: Any) -> tuple[int, Any]:
    status, body, _ = await gateway.call("POST", PATH, data=data, **options)
    return status, body


@pytest.fixture(autouse=True)
async def nothing_left(objects: ObjectStore) -> AsyncIterator[None]:
    """Every test removes what it meant to keep; what is there besides was left behind."""
    await objects.remove_prefix(BUCKET)
    yield
    assert await objects.list(BUCKET) == []


async def test_a_file_is_kept_and_entered_as_document_e_says(
    gateway: Gateway, peers: Peers, objects: ObjectStore
) -> None:
    peers.answer(REGISTER_DATASET, entered)
    status, body = await send(gateway, form(filename="training data.csv"))
    assert status == 201
    asked = peers.asked(REGISTER_DATASET)
    assert body["dataset_id"] == asked.dataset_id
    assert body["filename"] == "training data.csv"
    assert body["s3_path"] == f"s3://datasets/{asked.dataset_id}/training data.csv"
    assert body["analysis"]["rows"] == 2
    assert body["analysis"]["stats"] == {"avg_length": 2.5, "min_length": 1, "max_length": 4}
    assert (asked.size_bytes, asked.sha256, asked.format) == (len(CSV), hashlib.sha256(CSV).hexdigest(), None)
    assert await objects.get_bytes(S3Path.parse(asked.s3_path)) == CSV
    await objects.remove(S3Path.parse(asked.s3_path))


async def test_a_file_that_is_there_already_is_not_kept_twice(gateway: Gateway, peers: Peers) -> None:
    peers.answer(REGISTER_DATASET, lambda request: dataset("ds_theonebefore", sha256=request.sha256 or ""))
    status, body = await send(gateway, form())
    assert (status, body["dataset_id"]) == (201, "ds_theonebefore")


@pytest.mark.parametrize("order", [["format", "file"], ["file", "format"]])
async def test_the_format_may_come_before_or_after(
    order: list[str], gateway: Gateway, peers: Peers, objects: ObjectStore
) -> None:
    peers.answer(REGISTER_DATASET, entered)
    data = aiohttp.FormData()
    for name in order:
        data.add_field(name, "tsv") if name == "format" else data.add_field(name, CSV, filename="a.txt")
    assert (await send(gateway, data))[0] == 201
    assert peers.asked(REGISTER_DATASET).format == "tsv"
    await objects.remove(S3Path.parse(peers.asked(REGISTER_DATASET).s3_path))


@pytest.mark.parametrize(
    ("data", "status", "code", "field"),
    [
        (form(format="xml"), 400, "VALIDATION_ERROR", "format"),
        (form(colour="red"), 400, "VALIDATION_ERROR", "colour"),
        (aiohttp.FormData({"file": "a,b"}, default_to_multipart=True), 400, "VALIDATION_ERROR", "file"),
        (aiohttp.FormData({"format": "csv"}, default_to_multipart=True), 400, "VALIDATION_ERROR", "file"),
        (b"{}", 400, "VALIDATION_ERROR", "body"),
    ],
    ids=["format", "unknown part", "no name", "no file", "no form"],
)
async def test_a_form_that_does_not_fit_is_refused(
    data: Any, status: int, code: str, field: str, gateway: Gateway, peers: Peers
) -> None:
    answered, body = await send(gateway, data)
    assert (answered, body["error"]) == (status, code)
    assert body["metadata"]["errors"][0]["field"] == field
    assert not peers.heard


async def test_a_missing_file_is_worded_as_in_document_e(gateway: Gateway) -> None:
    _, body = await send(gateway, aiohttp.FormData({"format": "csv"}, default_to_multipart=True))
    assert body["metadata"] == {"errors": [{"field": "file", "message": "field required"}]}


async def test_two_files_are_refused(gateway: Gateway, peers: Peers) -> None:
    data = form()
    data.add_field("file", CSV, filename="b.csv")
    assert (await send(gateway, data))[0] == 400
    assert not peers.heard


async def test_an_empty_file_is_refused(gateway: Gateway, peers: Peers) -> None:
    status, body = await send(gateway, form(b""))
    assert (status, body["error"]) == (400, "DATASET_ERROR")
    assert not peers.heard


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no boundary at all",
        b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n' + CSV,
        b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n' + CSV * 50_000,
        b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n',
        b"--edge\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\na\r\n--x--\r\n--edge--\r\n",
        b"--edge--\r\n",
        b'--edge\r\nContent-Disposition: form-data; name="\xff"\r\n\r\na\r\n--edge--\r\n',
    ],
    ids=["empty", "no boundary", "cut short", "cut long", "cut in headers", "nested", "no part", "no text"],
)
async def test_a_broken_form_is_refused(raw: bytes, gateway: Gateway, peers: Peers) -> None:
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    status, body = await send(gateway, raw, headers=headers)
    assert status == 400
    assert body["error"] in ("VALIDATION_ERROR", "DATASET_ERROR")
    assert not peers.heard


async def test_a_form_without_a_boundary_is_refused(gateway: Gateway) -> None:
    assert (await send(gateway, b"a", headers={"Content-Type": "multipart/form-data"}))[0] == 400


@pytest.mark.parametrize("announced", [True, False])
async def test_a_file_over_the_limit_is_refused(announced: bool, start: Start, peers: Peers) -> None:
    data = b"x" * 20_000_000

    async def pieces() -> AsyncIterator[bytes]:
        for begin in range(0, len(data), 100_000):
            yield data[begin : begin + 100_000]

    async with start(max_upload_bytes=10_000_000) as gateway:
        status, body = await send(gateway, form(data if announced else pieces()))
    assert (status, body["error"]) == (413, "PAYLOAD_TOO_LARGE")
    assert not peers.heard


async def test_a_file_of_just_the_limit_is_taken(start: Start, peers: Peers, objects: ObjectStore) -> None:
    peers.answer(REGISTER_DATASET, entered)
    async with start(max_upload_bytes=len(CSV)) as gateway:
        assert (await send(gateway, form()))[0] == 201
        assert (await send(gateway, form(CSV + b"x")))[0] == 413
    await objects.remove(S3Path.parse(peers.asked(REGISTER_DATASET).s3_path))


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        (RefusalCode.DATASET_INVALID, 400, "DATASET_ERROR"),
        (RefusalCode.CONFLICT, 409, "CONFLICT"),
        (RefusalCode.STORAGE_FAILED, 500, "STORAGE_ERROR"),
        (RefusalCode.INTERNAL, 500, "INTERNAL_ERROR"),
    ],
)
async def test_a_file_that_the_registry_refuses_goes_again(
    code: RefusalCode, status: int, error: str, gateway: Gateway, peers: Peers
) -> None:
    peers.answer(REGISTER_DATASET, Refused(code, "No"))
    answered, body = await send(gateway, form())
    assert (answered, body["error"]) == (status, error)


async def test_a_file_that_no_registry_hears_of_is_left_to_the_sweeper(
    gateway: Gateway, peers: Peers, objects: ObjectStore
) -> None:
    await peers.buses.pop("registry").close()
    status, body = await send(gateway, form())
    assert (status, body["error"]) == (503, "UNAVAILABLE")
    assert await objects.remove_prefix(BUCKET) == 1


async def test_a_file_that_the_registry_may_still_be_entering_stays(
    gateway: Gateway, peers: Peers, objects: ObjectStore
) -> None:
    peers.answer(REGISTER_DATASET, Refused(RefusalCode.TIMEOUT, "The deadline of the request passed"))
    status, body = await send(gateway, form())
    assert (status, body["error"]) == (504, "TIMEOUT")
    assert await objects.get_bytes(S3Path.parse(peers.asked(REGISTER_DATASET).s3_path)) == CSV
    await objects.remove_prefix(BUCKET)


async def test_a_file_that_was_entered_although_no_answer_came_stays(
    gateway: Gateway, peers: Peers, objects: ObjectStore
) -> None:
    kept: dict[str, Dataset] = {}

    def enter_and_die(request: RegisterDataset) -> Dataset:
        kept[request.dataset_id] = entered(request)
        raise RuntimeError("killed after the commit")

    def get(request: GetDataset) -> Dataset:
        return kept[request.dataset_id]

    peers.answer(REGISTER_DATASET, enter_and_die)
    peers.answer(GET_DATASET, get)
    status, body = await send(gateway, form())
    assert status == 201
    path = S3Path.parse(body["s3_path"])
    assert await objects.get_bytes(path) == CSV
    await objects.remove(path)


async def test_a_client_that_goes_away_leaves_nothing(gateway: Gateway, peers: Peers, objects: ObjectStore) -> None:
    sent = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 1_000_000
        sent.set()
        await asyncio.sleep(60)

    call = asyncio.create_task(send(gateway, form(endless())))
    await asyncio.wait_for(sent.wait(), 20)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    await asyncio.sleep(1)
    assert await objects.list(BUCKET) == []
    assert not peers.heard


async def test_a_client_that_goes_away_after_the_last_byte_does_not_undo_the_upload(
    gateway: Gateway, peers: Peers, objects: ObjectStore
) -> None:
    asked, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slowly(request: RegisterDataset) -> Dataset:
        asked.set()
        await go_on.wait()
        done.set()
        return entered(request)

    peers.answer(REGISTER_DATASET, slowly)
    call = asyncio.create_task(send(gateway, form()))
    await asyncio.wait_for(asked.wait(), 5)
    call.cancel()
    await asyncio.sleep(0.2)
    go_on.set()
    await asyncio.wait_for(done.wait(), 5)
    path = S3Path.parse(peers.asked(REGISTER_DATASET).s3_path)
    assert await objects.get_bytes(path) == CSV
    await objects.remove(path)


async def test_a_sender_that_falls_silent_gives_its_place_to_others(
    start: Start, monkeypatch: pytest.MonkeyPatch, peers: Peers, objects: ObjectStore
) -> None:
    monkeypatch.setattr("common.objects.store._UPLOADS_AT_ONCE", 1)
    monkeypatch.setattr("gateway.edge.reading._SILENCE_SECONDS", 0.5)
    peers.answer(REGISTER_DATASET, entered)

    async def silent() -> AsyncIterator[bytes]:
        yield b"x" * 1_000_000
        await asyncio.sleep(60)

    async with start() as gateway, asyncio.timeout(10):
        stuck = asyncio.create_task(send(gateway, form(silent())))
        await asyncio.sleep(0.2)
        status, body = await send(gateway, form())
        assert status == 201
        status, refusal = await stuck
    assert (status, refusal["error"]) == (504, "TIMEOUT")
    await objects.remove(S3Path.parse(body["s3_path"]))


async def test_memory_stays_bounded_whatever_the_size(gateway: Gateway, peers: Peers, objects: ObjectStore) -> None:
    peers.answer(REGISTER_DATASET, entered)
    piece, pieces = b"0123456789abcde\n" * 65_536, 128
    whole = hashlib.sha256()

    async def source() -> AsyncIterator[bytes]:
        for _ in range(pieces):
            whole.update(piece)
            yield piece

    tracemalloc.start()
    try:
        status, body = await send(gateway, form(source()))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert status == 201
    assert body["size_bytes"] == pieces * len(piece)
    assert body["sha256"] == whole.hexdigest()
    assert peak < 64 * 1024 * 1024, f"{peak / 2**20:.0f} MiB for a file of {pieces} MiB"
    await objects.remove(S3Path.parse(body["s3_path"]))


async def test_a_name_that_would_leave_its_folder_is_made_safe(
    gateway: Gateway, peers: Peers, objects: ObjectStore
) -> None:
    peers.answer(REGISTER_DATASET, entered)
    raw = (
        b'--edge\r\nContent-Disposition: form-data; name="file"; filename="../../etc/passwd"\r\n\r\n'
        + CSV
        + b"\r\n--edge--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=edge", "Authorization": f"Bearer {ADMIN_KEY}"}
    status, body = await send(gateway, raw, headers=headers)
    assert (status, body["filename"]) == (201, "passwd")
    await objects.remove(S3Path.parse(body["s3_path"]))
