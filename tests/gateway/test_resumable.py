"""Uploads that can be resumed: by tus 1.0, whatever breaks off, and nothing is left of those that are given up."""

import asyncio
import base64
import hashlib
import os
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import aiohttp
import pytest

from common.bus import Bus
from common.database import Database
from common.objects import ObjectStore, S3Path
from common.settings import ServiceSettings
from contracts.base import RefusalCode, Refused
from contracts.registry import REGISTER_DATASET, Dataset, RegisterDataset
from gateway.domain.resumable import PART_BYTES
from gateway.uploading import Uploading
from tests.gateway.conftest import Gateway, Start
from tests.gateway.peers import Peers, dataset

PATH = "/api/v1/datasets/uploads"
SENT = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
DATA = os.urandom(2 * PART_BYTES + 70_000)


def entered(request: RegisterDataset) -> Dataset:
    return dataset(request.dataset_id, filename=request.filename, s3_path=request.s3_path)


@pytest.fixture(autouse=True)
async def nothing_left(objects: ObjectStore) -> AsyncIterator[None]:
    places = [S3Path("datasets", prefix) for prefix in ("ds_", "uploads/")]
    for place in places:
        await objects.remove_prefix(place)
    yield
    assert [await objects.list(place) for place in places] == [[], []]
    assert not await objects.unfinished(S3Path("datasets", "ds_"))


async def create(gateway: Gateway, length: int, filename: str = "a.csv") -> str:
    metadata = f"filename {base64.b64encode(filename.encode()).decode()},format {base64.b64encode(b'csv').decode()}"
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(length), "Upload-Metadata": metadata}
    status, body, answered = await gateway.call("POST", PATH, headers=headers)
    assert (status, body["offset"], answered["Upload-Offset"]) == (201, 0, "0")
    return answered["Location"]


async def send(gateway: Gateway, location: str, offset: int, data: Any) -> tuple[int, Any, Any]:
    return await gateway.call("PATCH", location, headers={**SENT, "Upload-Offset": str(offset)}, data=data)


async def head(gateway: Gateway, location: str) -> int:
    status, _, headers = await gateway.call("HEAD", location)
    assert (status, headers["Tus-Resumable"], headers["Cache-Control"]) == (200, "1.0.0", "no-store")
    return int(headers["Upload-Offset"])


async def take(objects: ObjectStore, path: str) -> bytes:
    data = await objects.get_bytes(S3Path.parse(path))
    await objects.remove(S3Path.parse(path))
    return data


@pytest.mark.parametrize("size", [70_000, 5_000_000, PART_BYTES, 3 * PART_BYTES])
async def test_a_file_that_is_sent_in_pieces_of_any_size_is_whole(
    size: int, gateway: Gateway, peers: Peers, objects: ObjectStore
) -> None:
    peers.answer(REGISTER_DATASET, entered)
    data = DATA if size > 1_000_000 else DATA[:200_000]
    location = await create(gateway, len(data))
    for offset in range(0, len(data), size):
        assert await head(gateway, location) == offset
        status, _, headers = await send(gateway, location, offset, data[offset : offset + size])
        assert (status, int(headers["Upload-Offset"])) == (204, min(offset + size, len(data)))
    asked = peers.asked(REGISTER_DATASET)
    assert headers["Location"] == f"/api/v1/datasets/{asked.dataset_id}"
    assert (asked.filename, asked.format, asked.size_bytes, asked.sha256) == ("a.csv", "csv", len(data), None)
    state = await gateway.get(location)
    assert (state["status"], state["dataset_id"], state["offset"]) == ("entered", asked.dataset_id, len(data))
    assert hashlib.sha256(await take(objects, asked.s3_path)).digest() == hashlib.sha256(data).digest()


async def test_an_upload_goes_on_at_another_gateway_after_the_connection_broke(
    gateway: Gateway, start: Start, peers: Peers, objects: ObjectStore
) -> None:
    peers.answer(REGISTER_DATASET, entered)
    location = await create(gateway, len(DATA))

    async def breaks_off() -> AsyncIterator[bytes]:
        yield DATA[: PART_BYTES + 1_000_000]
        raise ConnectionResetError

    with pytest.raises((aiohttp.ClientError, ConnectionError)):
        await send(gateway, location, 0, breaks_off())
    async with start() as other:
        offset = await head(other, location)
        assert 0 <= offset <= PART_BYTES
        assert (await send(other, location, offset, DATA[offset:]))[0] == 204
    assert await take(objects, peers.asked(REGISTER_DATASET).s3_path) == DATA


@pytest.mark.parametrize(
    ("headers", "status", "field"),
    [
        ({"Upload-Offset": "7"}, 409, None),
        ({"Upload-Offset": "-1"}, 400, "Upload-Offset"),
        ({"Upload-Offset": "0", "Content-Type": "text/csv"}, 400, "Content-Type"),
        ({"Upload-Offset": "0", "Tus-Resumable": "0.2"}, 412, "Tus-Resumable"),
    ],
)
async def test_what_does_not_fit_is_refused_and_changes_nothing(
    headers: dict[str, str], status: int, field: str | None, gateway: Gateway
) -> None:
    location = await create(gateway, 100)
    answered, body, told = await gateway.call("PATCH", location, headers={**SENT, **headers}, data=b"x")
    assert (answered, told["Tus-Resumable"]) == (status, "1.0.0")
    assert told.get("Tus-Version") == ("1.0.0" if status == 412 else None)
    assert [error["field"] for error in body["metadata"].get("errors", [])] == ([field] if field else [])
    assert await head(gateway, location) == 0
    assert (await gateway.call("DELETE", location))[0] == 204
    assert (await gateway.call("HEAD", location))[0] == 404


@pytest.mark.parametrize("metadata", ["filename a", "filename ä"])
async def test_metadata_that_cannot_be_read_is_refused(metadata: str, gateway: Gateway) -> None:
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "5", "Upload-Metadata": metadata}
    status, body, _ = await gateway.call("POST", PATH, headers=headers)
    assert (status, body["metadata"]["errors"][0]["field"]) == (400, "Upload-Metadata")


async def test_what_can_be_uploaded_is_told_before_anything_is(gateway: Gateway) -> None:
    for path in (PATH, await create(gateway, 100)):
        status, _, told = await gateway.call("OPTIONS", path)
        assert (status, told["Tus-Version"], told["Tus-Extension"]) == (204, "1.0.0", "creation,expiration,termination")
        most = int(told["Tus-Max-Size"])
    for length, status in ((most, 201), (most + 1, 413)):
        answered, _, told = await gateway.call("POST", PATH, headers={"Upload-Length": str(length)})
        assert (answered, told["Tus-Resumable"]) == (status, "1.0.0")
    assert (await gateway.call("POST", PATH, headers={"Tus-Resumable": "0.2.2", "Upload-Length": "5"}))[0] == 412


async def test_an_upload_is_its_senders_alone(gateway: Gateway) -> None:
    location = await create(gateway, 100)
    key = (await gateway.post("/api/v1/keys", {"name": uuid.uuid4().hex, "role": "member"}, status=201))["key"]
    assert (await gateway.call("HEAD", location, key=key))[0] == 404
    assert (await gateway.call("DELETE", location))[0] == 204


async def test_a_file_that_the_registry_refuses_is_told_and_gone(gateway: Gateway, peers: Peers) -> None:
    peers.answer(REGISTER_DATASET, Refused(RefusalCode.DATASET_INVALID, "Line 2 has 3 fields; the header has 2"))
    location = await create(gateway, 10)
    status, body, _ = await send(gateway, location, 0, b"0123456789")
    assert (status, body["error"]) == (400, "DATASET_ERROR")
    state = await gateway.get(location)
    assert (state["status"], state["error"]) == ("refused", "Line 2 has 3 fields; the header has 2")


@pytest.fixture
async def uploading(
    settings_of: Callable[[str], ServiceSettings], objects: ObjectStore
) -> AsyncIterator[tuple[Uploading, Database]]:
    settings = settings_of("gateway")
    database = await Database.connect(settings.database_url.get_secret_value(), "gateway", size=2)
    bus = await Bus.connect(settings, "gateway")
    yield Uploading(database, objects, bus), database
    await bus.close()
    await database.close()


async def test_what_a_dead_gateway_left_whole_is_entered_by_another(
    gateway: Gateway, peers: Peers, objects: ObjectStore, uploading: tuple[Uploading, Database]
) -> None:
    location = await create(gateway, PART_BYTES)
    peers.answer(REGISTER_DATASET, Refused(RefusalCode.UNAVAILABLE, "away"))
    assert (await send(gateway, location, 0, DATA[:PART_BYTES]))[0] == 503
    assert (await gateway.get(location))["status"] == "stored"
    peers.answer(REGISTER_DATASET, entered)
    engine, database = uploading
    async with database.connection() as connection:
        await connection.execute("UPDATE uploads SET changed_at = clock_timestamp() - interval '1 h'")
    # Who comes again with the last bytes does not put it off.
    assert (await send(gateway, location, 0, DATA[:PART_BYTES]))[0] == 409
    await engine.sweep(unsettled_seconds=600)
    assert (await gateway.get(location))["status"] == "entered"
    assert await take(objects, peers.asked(REGISTER_DATASET).s3_path) == DATA[:PART_BYTES]


async def test_parts_that_are_all_there_but_not_put_together_become_the_file(
    gateway: Gateway, peers: Peers, objects: ObjectStore, uploading: tuple[Uploading, Database]
) -> None:
    """Its gateway was killed between the last part and the end."""
    peers.answer(REGISTER_DATASET, entered)
    location = await create(gateway, PART_BYTES + 5)
    assert (await send(gateway, location, 0, DATA[:PART_BYTES]))[0] == 204
    dataset_id = location.rsplit("/", 1)[1]
    engine, database = uploading
    async with database.connection() as connection:
        s3_upload = await connection.fetchval("SELECT s3_upload FROM uploads WHERE dataset_id = $1", dataset_id)
        tag = await objects.put_part(S3Path("datasets", f"{dataset_id}/a.csv"), s3_upload, 2, b"tail!")
        await connection.execute("UPDATE uploads SET parts = parts || $2::text WHERE dataset_id = $1", dataset_id, tag)
    await engine.sweep(unsettled_seconds=0)
    assert await take(objects, peers.asked(REGISTER_DATASET).s3_path) == DATA[:PART_BYTES] + b"tail!"


async def test_an_upload_that_expired_is_freed(gateway: Gateway, uploading: tuple[Uploading, Database]) -> None:
    location = await create(gateway, len(DATA))
    assert (await send(gateway, location, 0, DATA[: PART_BYTES + 9]))[0] == 204
    engine, database = uploading
    async with database.connection() as connection:
        await connection.execute("UPDATE uploads SET expires_at = clock_timestamp() - interval '1 s'")
    await engine.sweep()
    assert (await gateway.call("HEAD", location))[0] == 404


async def test_an_upload_that_cannot_be_freed_now_holds_up_no_other(
    gateway: Gateway, uploading: tuple[Uploading, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [(await create(gateway, len(DATA))).rsplit("/", 1)[1] for _ in range(2)]
    engine, database = uploading
    async with database.connection() as connection:
        await connection.execute("UPDATE uploads SET expires_at = clock_timestamp() - interval '1 s'")
    unfinished, asked = ObjectStore.unfinished, 0

    async def refused_once(store: ObjectStore, path: S3Path) -> Sequence[Any]:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise Refused(RefusalCode.STORAGE_FAILED, "away")
        return await unfinished(store, path)

    monkeypatch.setattr(ObjectStore, "unfinished", refused_once)
    await engine.sweep()
    async with database.connection() as connection:
        left = await connection.fetchval("SELECT count(*) FROM uploads WHERE dataset_id = ANY($1)", ids)
    assert left == 1


async def test_of_many_that_send_at_once_few_are_held_in_memory_and_none_for_ever(
    start: Start, monkeypatch: pytest.MonkeyPatch, peers: Peers, objects: ObjectStore
) -> None:
    monkeypatch.setattr("gateway.uploading._AT_ONCE", 1)
    monkeypatch.setattr("gateway.edge.reading._SILENCE_SECONDS", 0.5)
    peers.answer(REGISTER_DATASET, entered)

    async def silent() -> AsyncIterator[bytes]:
        yield DATA[:300_000]
        await asyncio.sleep(60)

    async with start() as gateway, asyncio.timeout(20):
        locations = [await create(gateway, 400_000) for _ in range(3)]
        began = time.monotonic()
        told = (silent(), silent(), DATA[:400_000])
        calls = [send(gateway, where, 0, data) for where, data in zip(locations, told, strict=True)]
        answers = await asyncio.gather(*calls)
        assert [status for status, *_ in answers] == [504, 504, 204]
        assert time.monotonic() - began >= 1, "the silent ones were not waited for one after the other"
        for location in locations[:2]:
            assert await head(gateway, location) == 0
            await gateway.call("DELETE", location, headers=SENT)
    await take(objects, peers.asked(REGISTER_DATASET).s3_path)
