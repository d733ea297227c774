"""Document E's data sets, exchange by exchange, and files that are none: refused, with nothing left of them."""

import asyncio
import base64
import gzip
import hashlib
import io
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import aiohttp
import polars as pl
import pytest
import zstandard

from common.objects import Objects, S3Path
from embedded.platform import Platform
from embedded.secrets import Secrets
from embedded.servers import USERS
from tests.e2e.caller import Caller
from tests.e2e.documented import conforms

pytestmark = pytest.mark.e2e

DATASETS = "/api/v1/datasets"
ROWS = [{"text": f"Sample text {number}", "label": ["positive", "negative"][number % 2]} for number in range(250)]
CSV = pl.DataFrame(ROWS).write_csv().encode()

# As document E prints them.
UPLOADED = {
    "dataset_id": "ds_xyz789",
    "filename": "training_data.csv",
    "size_bytes": 1048576,
    "s3_path": "s3://datasets/ds_xyz789/training_data.csv",
    "analysis": {
        "rows": 10000,
        "columns": ["text", "label"],
        "text_column": "text",
        "stats": {"avg_length": 256.5, "min_length": 10, "max_length": 1024},
    },
}
INFORMATION = {
    "dataset_id": "ds_xyz789",
    "filename": "training_data.csv",
    "format": "csv",
    "rows": 10000,
    "columns": ["text", "label"],
    "created_at": "2025-12-13T01:00:00Z",
    "s3_path": "s3://datasets/ds_xyz789/training_data.csv",
}
PREVIEW = {
    "dataset_id": "ds_xyz789",
    "samples": [{"text": "Sample text 1", "label": "positive"}],
    "total_rows": 10000,
}
ERROR = {"error": "DATASET_ERROR", "message": "Human-readable error message", "metadata": {}}


@pytest.fixture(scope="module")
def objects(platform: Platform) -> Objects:
    """The object store as the gateway sees it."""
    secrets = Secrets.load(platform.data_dir, USERS)
    return Objects(f"http://127.0.0.1:{platform.ports()['s3']}", "gateway", secrets.password("s3", "gateway"))


async def upload(caller: Caller, data: bytes, filename: str, **fields: str) -> tuple[int, Any]:
    form = aiohttp.FormData()
    form.add_field("file", data, filename=filename, content_type="application/octet-stream")
    for name, value in fields.items():
        form.add_field(name, value)
    return await caller.call("POST", f"{DATASETS}/upload", data=form)


async def test_an_upload_is_answered_shown_and_previewed_as_documented(caller: Caller, objects: Objects) -> None:
    name = f"{uuid.uuid4().hex}.csv"
    status, made = await upload(caller, CSV, name, format="csv")
    assert status == 201
    conforms(made, UPLOADED)
    assert (made["filename"], made["version"], made["analysis"]["text_column"]) == (name, 1, "text")
    shown = await caller.get(f"{DATASETS}/{made['dataset_id']}")
    conforms(shown, INFORMATION)
    preview = await caller.get(f"{DATASETS}/{made['dataset_id']}/preview?limit=2")
    conforms(preview, PREVIEW)
    assert (preview["samples"], preview["total_rows"]) == (ROWS[:2], 250)
    behind = await caller.get(f"{DATASETS}/{made['dataset_id']}/preview?limit=100&offset=200")
    assert behind["samples"] == ROWS[200:]
    assert len((await caller.get(f"{DATASETS}/{made['dataset_id']}/preview"))["samples"]) == 10
    status, error = await caller.call("GET", f"{DATASETS}/{made['dataset_id']}/preview?limit=101")
    assert (status, error["error"]) == (400, "VALIDATION_ERROR")
    assert (await upload(caller, CSV, name))[1]["dataset_id"] == made["dataset_id"]
    lineage = await caller.get(f"{DATASETS}/{made['dataset_id']}/lineage")
    assert (lineage["runs"], lineage["models"]) == ([], [])
    status, gone = await caller.call("DELETE", f"{DATASETS}/{made['dataset_id']}")
    assert (status, gone["freed_bytes"]) == (200, len(CSV))
    assert objects.list(S3Path("datasets", made["dataset_id"])) == []
    assert (await caller.call("GET", f"{DATASETS}/{made['dataset_id']}"))[0] == 404


@pytest.mark.parametrize(
    "name", ["a.csv", "a.tsv", "a.json", "a.jsonl", "a.parquet", "a.txt", "a.csv.gz", "a.jsonl.zst"]
)
async def test_every_format_is_found_out_from_its_content(name: str, caller: Caller) -> None:
    frame, parquet = pl.DataFrame(ROWS), io.BytesIO()
    frame.write_parquet(parquet)
    data = {
        "a.csv": CSV,
        "a.tsv": frame.write_csv(separator="\t").encode(),
        "a.json": frame.write_json().encode(),
        "a.jsonl": frame.write_ndjson().encode(),
        "a.parquet": parquet.getvalue(),
        "a.txt": b"one line\n" * 250,
        "a.csv.gz": gzip.compress(CSV),
        "a.jsonl.zst": zstandard.compress(frame.write_ndjson().encode()),
    }[name]
    status, made = await upload(caller, data, f"{uuid.uuid4().hex}-{name}")
    assert (status, made["rows"], made["format"]) == (201, 250, name.split(".")[1])


# Files that are no data sets

_PARQUET = io.BytesIO()
pl.DataFrame({"text": ["a"] * 1000}).write_parquet(_PARQUET)
BAD_FILES: dict[str, bytes] = {
    "empty.csv": b"",
    "blank.csv": b" \n\n \n",
    "header.csv": b"question,answer\n",
    "short.csv": b"a,b\n1,2\n3\n",
    "wide.csv": b"a,b\n1,2\n3,4,5\n",
    "quote.csv": b'a,b\n1,"never closed\n2,3\n',
    "twice.csv": b"a,a\n1,2\n",
    "latin.csv": "a,b\nJürgen,2\n".encode("latin-1"),
    "utf16.csv": "a,b\n1,2\n".encode("utf-16"),
    "binary.csv": bytes(range(256)) * 8,
    "columns.csv": b",".join(b"c%d" % number for number in range(600)) + b"\n" + b",".join([b"1"] * 600) + b"\n",
    "row.txt": b"x" * (5 << 20),
    "broken.json": b'[{"a": 1}, {"a": ',
    "scalar.json": b"[1, 2, 3]",
    "deep.json": b'[{"a": ' + b"[" * 2000 + b"]" * 2000 + b"}]",
    "broken.jsonl": b'{"a": 1}\n{"a" 2}\n',
    "cut.parquet": _PARQUET.getvalue()[:-20],
    "false.parquet": b"PAR1 this is not parquet PAR1",
    "cut.csv.gz": gzip.compress(CSV)[:-9],
    "cut.csv.zst": zstandard.compress(CSV)[:-3],
    "nested.csv.gz": gzip.compress(gzip.compress(CSV)),
    "returns.csv": b"a,b\r1,2\r3,4\r",
    "joined.json": b'{"a": 1}{"a": 2}',
    "commas.jsonl": b'{"a": 1},\n{"a": 2},\n',
    "secret.parquet": b"PARE" + bytes(100) + b"PARE",
    "sheet.xlsx": b"PK\x03\x04" + bytes(100),
}


async def left(caller: Caller, objects: Objects) -> tuple[int, list[str], int]:
    """Data sets in Postgres; objects, and objects half stored, in S3."""
    stored = [info.path.key for info in objects.list(S3Path("datasets", ""))]
    return (await caller.get(f"{DATASETS}?limit=1"))["total"], stored, len(objects.unfinished(S3Path("datasets", "")))


@pytest.mark.parametrize("name", BAD_FILES)
async def test_a_bad_file_is_refused_in_the_documented_form_and_leaves_nothing(
    name: str, caller: Caller, objects: Objects
) -> None:
    before = await left(caller, objects)
    status, error = await upload(caller, BAD_FILES[name], name)
    assert (status, error["error"]) == (400, "DATASET_ERROR"), error
    conforms(error, ERROR)
    assert set(error) == set(ERROR)
    assert await left(caller, objects) == before


async def test_a_bad_file_that_came_in_pieces_leaves_nothing_either(caller: Caller, objects: Objects) -> None:
    before = await left(caller, objects)
    data = BAD_FILES["wide.csv"]
    named = f"filename {base64.b64encode(b'wide.csv').decode()}"
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(data)), "Upload-Metadata": named}
    status, made = await caller.call("POST", f"{DATASETS}/uploads", headers=headers)
    assert status == 201
    path = f"{DATASETS}/uploads/{made['upload_id']}"
    for start in (0, 5):
        piece = data[start : start + 5] if start == 0 else data[start:]
        headers = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(start)}
        status, answer = await caller.call("PATCH", path, headers=headers, data=piece)
    assert (status, answer["error"]) == (400, "DATASET_ERROR")
    assert await left(caller, objects) == before


async def test_an_upload_goes_on_after_its_gateway_was_killed(
    platform: Platform, caller: Caller, objects: Objects
) -> None:
    """In the middle of a request, and at the very next one."""
    data = b"text,label\n" + b"".join(b"row %d of a large file,%d\n" % (i, i % 7) for i in range(400_000))
    named = f"filename {base64.b64encode(uuid.uuid4().hex.encode() + b'.csv').decode()}"
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(data)), "Upload-Metadata": named}
    _, made = await caller.call("POST", f"{DATASETS}/uploads", headers=headers)
    path = f"{DATASETS}/uploads/{made['upload_id']}"

    async def send(offset: int, content: Any) -> tuple[int, Any]:
        sent = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(offset)}
        return await caller.call("PATCH", path, headers=sent, data=content)

    async def killed_on_the_way() -> AsyncIterator[bytes]:
        yield data[: 9 << 20]
        async with asyncio.timeout(20):
            begun = S3Path("datasets", made["upload_id"])
            while not await asyncio.to_thread(objects.unfinished, begun):  # noqa: ASYNC110 - nothing tells when
                await asyncio.sleep(0.05)
        old.append(platform.kill("gateway"))
        yield data[9 << 20 :]

    old: list[int] = []
    with suppress(aiohttp.ClientError, ConnectionError):
        await send(0, killed_on_the_way())
    await asyncio.to_thread(platform.wait_restarted, "gateway", old[0])
    state = await caller.patiently("GET", path)
    assert (state["status"], state["offset"] in (0, 8 << 20)) == ("receiving", True)
    status, error = await send(state["offset"], data[state["offset"] :])
    assert status == 204, error
    made = await caller.get(f"{DATASETS}/{made['upload_id']}")
    assert (made["rows"], made["sha256"]) == (400_000, hashlib.sha256(data).hexdigest())
    assert not objects.unfinished(S3Path("datasets", made["dataset_id"]))
