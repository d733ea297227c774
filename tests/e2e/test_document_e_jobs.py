"""Document E's jobs and logs: every exchange as documented, and then what it plans, on a job that really trains."""

import asyncio
import hashlib
import shutil
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from common.objects import Objects, S3Path
from embedded.endpoints import USERS, Endpoints
from embedded.platform import Platform
from embedded.secrets import Secrets
from tests.e2e.caller import ENDED, Caller
from tests.e2e.documented import conforms

pytestmark = pytest.mark.e2e

Json = dict[str, Any]
MOMENT = "2025-12-13T01:00:00Z"

SUBMISSION: Json = {
    "pipeline_config": {
        "run_id": "abc123",
        "nodes": [
            {
                "agent_name": "dataset",
                "agent_class": "DatasetAgent",
                "config": {"file_path": "s3://datasets/training_data.csv", "format": "csv"},
            },
            {"agent_name": "validation", "agent_class": "ValidationAgent", "config": {}},
            {
                "agent_name": "preprocessing",
                "agent_class": "PreprocessingAgent",
                "config": {
                    "base_model": "meta-llama/Llama-2-7b-hf",
                    "clean": True,
                    "dedup": True,
                    "template": "alpaca",
                    "template_mapping": {"instruction": "question", "output": "answer"},
                },
            },
        ],
        "edges": [
            {"from_agent": "dataset", "to_agent": "validation"},
            {"from_agent": "validation", "to_agent": "preprocessing"},
        ],
        "global_config": {"max_retries": 3},
    }
}
ACCEPTED = {"job_id": "job_abc123", "status": "pending", "created_at": MOMENT}
JOB: Json = {
    "job_id": "job_abc123",
    "status": "running",
    "created_at": MOMENT,
    "started_at": MOMENT,
    "progress": {
        "completed_agents": ["dataset", "validation"],
        "current_agent": "preprocessing|null",
        "total_agents": 3,
    },
}
LINE = {"timestamp": MOMENT, "agent": "DatasetAgent", "level": "INFO", "message": "Starting dataset ingestion"}
NOT_FOUND = {"error": "NOT_FOUND", "message": "Human-readable error message", "metadata": {}}


@pytest.fixture(scope="module")
def documented(platform: Platform, base_model: str, small_csv: Path) -> None:
    """The file and the base model that the document's example names."""
    access = Endpoints.of(platform.ports(), Secrets.load(platform.data_dir, USERS))["gateway"]
    objects = Objects(access.s3_endpoint, access.s3_access_key, access.s3_secret_key)
    objects.put_file(S3Path("datasets", "training_data.csv"), small_csv)
    models = platform.data_dir / "models"
    shutil.copytree(models / base_model, models / "meta-llama" / "Llama-2-7b-hf")


async def events(caller: Caller, run_id: str, after: str | None = None) -> list[tuple[str | None, str, Json]]:
    """All that the log's stream sends until it ends by itself."""
    path = f"/api/v1/logs/stream/{run_id}"
    async with asyncio.timeout(120):
        return [(id_, kind, orjson.loads(data)) async for id_, kind, data in caller.events(path, after=after)]


@pytest.mark.usefixtures("documented")
async def test_a_job_is_submitted_watched_and_read_as_documented(caller: Caller) -> None:
    accepted = await caller.post("/api/v1/jobs", SUBMISSION)
    conforms(accepted, ACCEPTED)
    assert accepted["job_id"] == "job_abc123"
    # Whoever is not sure that it was heard sends it again.
    assert (await caller.post("/api/v1/jobs", SUBMISSION))["created_at"] == accepted["created_at"]

    heard = await events(caller, "abc123")
    *records, (_, kind, end) = heard
    assert (kind, end) == ("end", {"run_id": "abc123", "status": "completed"})
    for _, _, record in records:
        conforms(record, {"run_id": "abc123", **LINE})
    assert {"DatasetAgent", "PreprocessingAgent"} <= {record["agent"] for _, _, record in records}
    assert await events(caller, "abc123", after=records[2][0]) == heard[3:]

    job = await caller.get("/api/v1/jobs/job_abc123")
    conforms(job, {**JOB, "status": "completed", "result": {"preprocessing": {"train_rows": 1}}})
    assert job["progress"]["completed_agents"] == ["dataset", "validation", "preprocessing"]
    assert job["progress"]["percent"] == 100

    history = await caller.get("/api/v1/logs/history/abc123?limit=1000")
    conforms(history, {"run_id": "abc123", "logs": [LINE], "total": 2})
    assert [line["message"] for line in history["logs"]] == [record["message"] for _, _, record in records]
    assert len((await caller.get("/api/v1/logs/history/abc123?limit=2"))["logs"]) == 2

    page = await caller.get("/api/v1/jobs?limit=1&status=completed")
    conforms(page, {"items": [JOB], "total": 150, "limit": 20, "offset": 40, "has_more": True})


async def test_what_is_not_there_or_over_is_refused_as_documented(caller: Caller) -> None:
    for method, path in (
        ("GET", "/api/v1/jobs/job_nobody"),
        ("DELETE", "/api/v1/jobs/job_nobody"),
        ("GET", "/api/v1/logs/history/nobody"),
        ("GET", "/api/v1/logs/stream/nobody"),
        ("GET", "/api/v1/jobs/job_nobody/artifacts"),
        ("POST", "/api/v1/jobs/job_nobody/pause"),
    ):
        status, error = await caller.call(method, path, **({"json": {}} if method == "POST" else {}))
        conforms(error, NOT_FOUND)
        assert (status, error["error"]) == (404, "NOT_FOUND")
    status, error = await caller.call("GET", "/api/v1/logs/history/abc123?limit=1001")
    assert (status, error["error"], error["metadata"]["errors"][0]["field"]) == (400, "VALIDATION_ERROR", "limit")


async def test_answers_say_how_the_caller_stands_with_its_limit(platform: Platform) -> None:
    headers = {"Authorization": f"Bearer {platform.admin_key}"}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{platform.url}/api/v1/jobs", headers=headers) as answer,
    ):
        for name in ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"):
            assert answer.headers[name].isdigit()


# What the document plans


class Watcher:
    """One of those who watch a job over a WebSocket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.heard: list[Json] = []

    async def until(self, kind: str, word: str = "") -> Json:
        """The next message of that kind with that in it."""
        async with asyncio.timeout(120):
            while True:
                message = orjson.loads((await self.socket.receive()).data)
                self.heard.append(message)
                if message["type"] == kind and word in str(message):
                    return message

    async def ask(self, **command: Any) -> Json:
        await self.socket.send_str(orjson.dumps(command).decode())
        return await self.until("ack")


@asynccontextmanager
async def watching(platform: Platform, job_id: str) -> AsyncIterator[Watcher]:
    headers = {"Authorization": f"Bearer {platform.admin_key}"}
    url = f"{platform.url}/ws/jobs/{job_id}"
    async with aiohttp.ClientSession(headers=headers) as session, session.ws_connect(url) as socket:
        yield Watcher(socket)


async def test_a_job_that_trains_is_adjusted_paused_resumed_cancelled_and_gone_on_from(
    platform: Platform, caller: Caller, base_model: str, small_csv: Path, tmp_path: Path
) -> None:
    run_id = f"steered-{uuid.uuid4().hex[:6]}"
    submission = {
        "template": "export",
        "dataset_id": await caller.upload_dataset(small_csv),
        "base_model": base_model,
        "run_id": run_id,
        "configs": {
            "preprocessing": {"max_seq_length": 128},
            # Far longer than anyone waits.
            "training": {"max_steps": 5000, "logging_steps": 1, "save_steps": 1000, "seed": uuid.uuid4().int % 2**31},
        },
    }
    job_id = (await caller.post("/api/v1/jobs", submission))["job_id"]
    async with watching(platform, job_id) as one, watching(platform, job_id) as other:
        await one.until("metric")
        number = (await one.ask(action="adjust", learning_rate=1.25e-5))["data"]["number"]
        await other.until("log", f"'adjustment': {number}")

        assert (await other.ask(action="pause"))["data"]["status"] == "paused"
        assert (await one.until("steering", "paused the job"))["data"]["steering"]["by"] == "admin"
        await one.until("log", "is paused, and goes on where it was")
        paused_at = max(message["data"]["step"] for message in one.heard if message["type"] == "metric")
        job = await caller.get(f"/api/v1/jobs/{job_id}")
        training = next(step for step in job["steps"] if step["agent_name"] == "training")
        assert (training["status"], training["training_step"], training["seconds_left"]) == ("paused", paused_at, None)
        # Two of four agents, and of the third what it has done of its steps.
        assert job["progress"]["percent"] == pytest.approx(25 * (2 + paused_at / 5000), abs=0.1)

        await caller.post(f"/api/v1/jobs/{job_id}/resume", {})
        await one.until("log", f"Going on from the checkpoint of step {paused_at}")
        first = (await one.until("metric"))["data"]
        assert first["step"] == paused_at + 1

        status, cancelled = await caller.call("DELETE", f"/api/v1/jobs/{job_id}")
        assert (status, cancelled) == (200, {"job_id": job_id, "status": "cancelled"})
        assert (await one.until("end"))["data"] == {"run_id": run_id, "status": "cancelled"}
        assert (await other.until("end"))["data"]["status"] == "cancelled"
    lines = [log["message"] for log in await caller.logs(run_id)]
    assert "TrainingAgent was cancelled" in lines
    (series,) = (await caller.get(f"/api/v1/logs/metrics/{run_id}?points=100"))["series"]
    steps = [point["step"] for point in series["points"] if "loss" in point]
    assert steps == sorted(set(steps))

    again = {"configs": {"training": {"max_steps": 4, "logging_steps": 1}}}
    retried = await caller.post(f"/api/v1/jobs/{job_id}/retry", again)
    job = await caller.job_when(retried["job_id"], status=ENDED)
    assert job["status"] == "completed", job["error"]
    assert job["retry_of"] == job_id
    assert job["progress"]["cached_agents"] == ["dataset", "preprocessing"]
    artifacts = (await caller.get(f"/api/v1/jobs/{retried['job_id']}/artifacts?limit=100"))["items"]
    assert {"dataset", "preprocessing", "training", "export"} <= {one["agent_name"] for one in artifacts}
    weights = next(one for one in artifacts if one["name"].endswith(".safetensors"))
    await caller.download(weights["url"], tmp_path / "weights")
    assert hashlib.sha256((tmp_path / "weights").read_bytes()).hexdigest() == weights["sha256"]


async def test_a_sweep_registers_the_best_and_leaves_it_alone_when_it_is_deleted(
    platform: Platform, caller: Caller, base_model: str, small_csv: Path, tmp_path: Path
) -> None:
    submission = {
        "template": "sweep",
        "dataset_id": await caller.upload_dataset(small_csv),
        "base_model": base_model,
        "sweep": {"training": {"learning_rate": [1e-6, 3e-3]}},
        "configs": {
            # Of its own, not what another test's job made.
            "preprocessing": {"max_seq_length": 128, "seed": uuid.uuid4().int % 2**31},
            "training": {"max_steps": 8, "logging_steps": 1, "seed": uuid.uuid4().int % 2**31},
            "comparison": {"generation_rows": 0, "max_rows": 16},
        },
    }
    accepted = await caller.post("/api/v1/jobs", submission)
    job = await caller.job_when(accepted["job_id"])
    assert job["status"] == "completed", job["error"]
    assert {step["agent_name"]: step["sweep"] for step in job["steps"]}["training-2"] == {"learning_rate": 3e-3}
    best = job["result"]["comparison"]["best_model_path"]
    assert best == job["result"]["training-2"]["model_path"]
    models = (await caller.get("/api/v1/models?limit=100"))["models"]
    assert [model["model_id"] for model in models if model["run_id"] == job["run_id"]] == [job["model_id"]]
    series = (await caller.get(f"/api/v1/logs/metrics/{job['run_id']}"))["series"]
    assert {"training-1", "training-2"} <= {one["agent_name"] for one in series}
    await _deletes_all_but_the_best(platform, caller, job, submission, tmp_path)


async def _deletes_all_but_the_best(
    platform: Platform, caller: Caller, job: Json, submission: Json, tmp_path: Path
) -> None:
    """Another job has taken over the rows of the sweep, and its model is served."""
    access = Endpoints.of(platform.ports(), Secrets.load(platform.data_dir, USERS))["gateway"]
    objects = Objects(access.s3_endpoint, access.s3_access_key, access.s3_secret_key)

    def left(run_id: str) -> set[str]:
        return {info.path.key.split("/")[1] for info in objects.list(S3Path("artifacts", f"{run_id}/"))}

    prepares = {name: submission[name] for name in ("dataset_id", "base_model")}
    configs = {"preprocessing": submission["configs"]["preprocessing"]}
    accepted = await caller.post("/api/v1/jobs", {"template": "prepare", **prepares, "configs": configs})
    other = await caller.job_when(accepted["job_id"])
    assert "preprocessing" in other["progress"]["cached_agents"]
    assert {"training-1", "training-2"} <= left(job["run_id"])

    path = f"/api/v1/jobs/{job['job_id']}"
    status, deleted = await caller.call("DELETE", f"{path}?purge=true")
    assert (status, deleted["status"], deleted["pending"]) == (200, "deleted", False), deleted
    assert deleted["freed_bytes"] > 0
    assert "training-2" in left(job["run_id"])
    assert "training-1" not in left(job["run_id"])
    for gone in (path, f"{path}/artifacts", f"/api/v1/logs/history/{job['run_id']}"):
        assert (await caller.call("GET", gone))[0] == 404
    model = f"/api/v1/models/{job['model_id']}"
    await caller.download(f"{model}/download?format=adapter", tmp_path / "adapter.tar")
    kinds = [step["kind"] for step in (await caller.get(f"{model}/lineage"))["steps"]]
    assert {"model", "export", "training", "preprocessing", "dataset", "file"} <= set(kinds)
    assert await caller.download(f"{model}/loss.svg", tmp_path / "loss.svg") > 0
    question = {"model": job["model_id"], "max_tokens": 1, "messages": [{"role": "user", "content": "Hello"}]}
    assert await caller.patiently("POST", "/v1/chat/completions", json=question)
    for artifact in (await caller.get(f"/api/v1/jobs/{other['job_id']}/artifacts?limit=100"))["items"]:
        await caller.download(artifact["url"], tmp_path / "artifact")
    assert (await caller.call("DELETE", f"/api/v1/jobs/{other['job_id']}?purge=true"))[0] == 200
    assert "preprocessing" in left(job["run_id"])


async def test_the_usual_jobs_are_listed(caller: Caller) -> None:
    templates = {one["template"]: one for one in (await caller.get("/api/v1/job-templates"))["templates"]}
    assert {"finetune", "sweep", "evaluate", "export", "prepare", "validate"} <= set(templates)
    assert templates["finetune"]["required"] == ["dataset_id", "base_model"]
