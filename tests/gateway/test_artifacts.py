"""The files that a job's agents made, listed and downloaded from a real object store."""

import base64
import hashlib
import uuid

import pytest

from common.objects import ObjectStore, S3Path
from contracts.orchestrator import GET_JOB_OUTPUTS, JobOutputs
from contracts.pipeline import DatasetOutput, ExportOutput, PreprocessingOutput
from gateway.domain.artifacts import name_of, places
from tests.gateway.conftest import Gateway
from tests.gateway.peers import Peers


@pytest.fixture
async def run_id(objects: ObjectStore, peers: Peers) -> str:
    """A job whose data set is its own, whose export another run made, and which read what is not its."""
    run_id, earlier = f"made-{uuid.uuid4().hex[:8]}", f"earlier-{uuid.uuid4().hex[:8]}"
    for key, data in {
        f"{run_id}/dataset/data.parquet": b"rows",
        f"{run_id}/dataset/data.parquet.lock": b"not named",
        f"{earlier}/export/adapter/weights.safetensors": b"0123456789",
        f"{earlier}/export/adapter/a b.json": b"{}",
    }.items():
        await objects.put_bytes(S3Path("artifacts", key), data)
    dataset = DatasetOutput(
        dataset_id=None,
        s3_path=f"s3://artifacts/{run_id}/dataset/data.parquet",
        format="csv",
        rows=1,
        columns=["a"],
        size_bytes=4,
        sha256="0",
    )
    elsewhere = dataset.model_copy(update={"s3_path": "s3://datasets/ds_1/a.csv"})
    exported = ExportOutput(exports={"adapter": f"s3://artifacts/{earlier}/export/adapter"}, size_bytes=12)
    outputs = {"dataset": dataset, "elsewhere": elsewhere, "export": exported}
    peers.answer(GET_JOB_OUTPUTS, JobOutputs.model_validate({"outputs": outputs}))
    return run_id


async def test_files_are_listed_by_agent_wherever_they_lie(gateway: Gateway, run_id: str) -> None:
    path = f"/api/v1/jobs/job_{run_id}/artifacts"
    page = await gateway.get(path)
    assert [(item["name"], item["agent_name"], item["size_bytes"]) for item in page["items"]] == [
        ("dataset/data.parquet", "dataset", 4),
        ("export/adapter/a b.json", "export", 2),
        ("export/adapter/weights.safetensors", "export", 10),
    ]
    assert page["items"][0]["sha256"] == hashlib.sha256(b"rows").hexdigest()
    assert (page["total"], page["has_more"]) == (3, False)
    second = await gateway.get(path + "?limit=1&offset=1")
    assert ([item["name"] for item in second["items"]], second["has_more"]) == (["export/adapter/a b.json"], True)
    assert await gateway.get(second["items"][0]["url"]) is not None


async def test_a_file_is_downloaded_whole_or_in_part_with_its_digest(gateway: Gateway, run_id: str) -> None:
    path = f"/api/v1/jobs/job_{run_id}/artifacts/export/adapter/weights.safetensors"
    status, body, headers = await gateway.call("GET", path)
    assert (status, body, headers["Content-Length"]) == (200, "0123456789", "10")
    assert headers["Content-Type"] == "application/octet-stream"
    digest = base64.b64encode(hashlib.sha256(b"0123456789").digest()).decode()
    assert headers["Repr-Digest"] == f"sha-256=:{digest}:"
    _, _, headers = await gateway.call("GET", f"/api/v1/jobs/job_{run_id}/artifacts/dataset/data.parquet")
    assert headers["Content-Type"] == "application/vnd.apache.parquet"
    status, body, headers = await gateway.call("GET", path, headers={"Range": "bytes=4-6"})
    assert (status, body, headers["Content-Range"]) == (206, "456", "bytes 4-6/10")


async def test_what_no_agent_made_is_not_found(gateway: Gateway, run_id: str) -> None:
    for name in ("dataset/data.parquet.lock", "elsewhere/a.csv", "x"):
        status, body, _ = await gateway.call("GET", f"/api/v1/jobs/job_{run_id}/artifacts/{name}")
        assert (status, body["error"]) == (404, "NOT_FOUND")


def test_a_text_that_begins_like_a_path_is_none() -> None:
    quoted = ["s3://", "s3://bucket", "s3://b/../secret", "s3://b/a/..", "s3://b/a b", "s3://b/k"]
    columns = DatasetOutput(
        dataset_id=None, s3_path="s3://b/k", format="csv", rows=1, columns=quoted, size_bytes=1, sha256="0"
    )
    assert places({"dataset": columns}) == [("dataset", "s3://b/k")]


def test_what_an_agent_read_is_not_among_what_it_made() -> None:
    rows = PreprocessingOutput.model_construct(
        train_path="s3://b/rows/train.jsonl", data_path="s3://b/data/data.parquet"
    )
    assert places({"rows": rows}) == [("rows", "s3://b/rows/train.jsonl")]


def test_an_object_whose_name_only_begins_alike_is_another() -> None:
    assert name_of("export", "s3://b/run/export/adapter", "run/export/adapter/a") == "export/adapter/a"
    assert name_of("export", "s3://b/run/export/adapter", "run/export/adapter-old/a") is None
