"""Bad input gets a clear error in its family's form and changes nothing."""

import uuid

import aiohttp
import pytest

from embedded.platform import Platform
from tests.e2e.caller import Caller
from tests.e2e.pipelines import pipeline

pytestmark = pytest.mark.e2e


async def totals(caller: Caller) -> tuple[int, int, int]:
    """How many data sets, jobs and models there are."""
    pages = [await caller.get(f"/api/v1/{noun}?limit=1") for noun in ("datasets", "jobs", "models")]
    datasets, jobs, models = (page["total"] for page in pages)
    return datasets, jobs, models


@pytest.mark.parametrize(
    ("filename", "data"),
    [
        ("empty.csv", b""),
        ("header.csv", b"question,answer\n"),
        ("broken.json", b'[{"a": 1}, {"a": '),
        ("broken.parquet", b"PAR1 this is not parquet PAR1"),
        ("binary.csv", bytes(range(256)) * 8),
    ],
)
async def test_a_bad_file_is_refused_and_leaves_nothing_behind(filename: str, data: bytes, caller: Caller) -> None:
    before = await totals(caller)
    form = aiohttp.FormData()
    form.add_field("file", data, filename=filename, content_type="application/octet-stream")
    status, error = await caller.call("POST", "/api/v1/datasets/upload", data=form)
    assert (status, error["error"]) in ((400, "DATASET_ERROR"), (400, "VALIDATION_ERROR")), error
    assert await totals(caller) == before


async def test_an_oversized_body_is_refused(caller: Caller) -> None:
    message = {"role": "user", "content": "x" * 20_000_000}
    status, error = await caller.call(
        "POST", "/v1/chat/completions", json={"model": "simulated-small", "messages": [message]}
    )
    assert status == 413
    assert set(error["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("key", [None, "wrong", f"llmp_{'0' * 16}_{'1' * 32}"])
async def test_without_a_valid_key_nothing_is_answered(key: str | None, platform: Platform) -> None:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.get(f"{platform.url}/api/v1/jobs") as response:
            assert response.status == 401
            assert set(await response.json()) == {"error", "message", "metadata"}
        async with session.post(f"{platform.url}/v1/chat/completions", json={}) as response:
            assert response.status == 401
            assert "message" in (await response.json())["error"]


async def test_a_viewer_reads_and_does_not_write(platform: Platform, caller: Caller) -> None:
    made = await caller.post("/api/v1/keys", {"name": "looker", "role": "viewer"})
    async with Caller(platform.url, made["key"]) as viewer:
        before = await totals(viewer)
        body = pipeline("ds_aaaaaaaaaaaa", "any", run_id=f"viewer-{uuid.uuid4().hex[:6]}")
        status, error = await viewer.call("POST", "/api/v1/jobs", json=body)
        assert (status, error["error"]) == (403, "FORBIDDEN")
        assert await totals(viewer) == before
    await caller.call("DELETE", f"/api/v1/keys/{made['key_id']}")
    async with Caller(platform.url, made["key"]) as revoked:
        assert (await revoked.call("GET", "/api/v1/jobs"))[0] == 401
