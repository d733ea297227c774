"""Answers have the forms of the documents: a client written from one of them finds what it reads."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import orjson

from contracts import orchestrator, registry, router
from contracts.base import RefusalCode, Refused
from contracts.orchestrator import JobAccepted, JobCancelled, JobDeleted, JobPage, LogEntry, LogPage, LogRecord
from contracts.registry import DatasetPage, DatasetPreview, ModelCard, ModelPage, ModelSummary
from contracts.router import Config, ConfigUpdated, ServedModels
from tests.gateway.conftest import Gateway
from tests.gateway.peers import CONFIG, MOMENT, REPLY, Peers, dataset, job, model, served

TIME = "2026-01-02T03:04:05.000000Z"
PIPELINE = {"nodes": [{"agent_name": "dataset", "agent_class": "DatasetAgent", "config": {"dataset_id": "ds_1"}}]}


def part(body: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: body[name] for name in names}


async def test_document_e_submits_a_job(gateway: Gateway, peers: Peers) -> None:
    accepted = JobAccepted(job_id="job_abc123", run_id="abc123", status="pending", created_at=MOMENT)
    peers.answer(orchestrator.SUBMIT_JOB, accepted)
    body = await gateway.post("/api/v1/jobs", {"pipeline_config": PIPELINE}, status=201)
    assert body == {"job_id": "job_abc123", "run_id": "abc123", "status": "pending", "created_at": TIME}
    assert peers.asked(orchestrator.SUBMIT_JOB).pipeline_config.nodes[0].config == {"dataset_id": "ds_1"}


async def test_document_e_gets_a_job(gateway: Gateway, peers: Peers) -> None:
    peers.answer(orchestrator.GET_JOB, job())
    body = await gateway.get("/api/v1/jobs/job_abc123")
    assert part(body, "job_id", "status", "created_at", "started_at", "result") == {
        "job_id": "job_abc123",
        "status": "running",
        "created_at": TIME,
        "started_at": TIME,
        "result": None,
    }
    assert part(body["progress"], "completed_agents", "current_agent", "total_agents") == {
        "completed_agents": ["dataset"],
        "current_agent": "validation",
        "total_agents": 3,
    }


async def test_document_e_lists_and_cancels_jobs(gateway: Gateway, peers: Peers) -> None:
    peers.answer(orchestrator.LIST_JOBS, JobPage(items=[job()], total=41, limit=20, offset=20, has_more=True))
    peers.answer(orchestrator.CANCEL_JOB, JobCancelled(job_id="job_abc123", status="cancelled"))
    page = await gateway.get("/api/v1/jobs?limit=20&offset=20&status=running")
    assert (len(page["items"]), page["total"], page["limit"], page["offset"], page["has_more"]) == (1, 41, 20, 20, True)
    assert peers.asked(orchestrator.LIST_JOBS).status == "running"
    _, body, _ = await gateway.call("DELETE", "/api/v1/jobs/job_abc123")
    assert body == {"job_id": "job_abc123", "status": "cancelled"}


async def test_a_job_that_has_ended_is_deleted_only_where_that_is_asked_for(gateway: Gateway, peers: Peers) -> None:
    """A plain DELETE cancels, as document E has it: repeated, it must not delete what it has cancelled."""
    peers.answer(orchestrator.CANCEL_JOB, JobCancelled(job_id="job_abc123", status="cancelled"))
    peers.answer(orchestrator.DELETE_JOB, JobDeleted(job_id="job_abc123", freed_bytes=5, pending=False))
    for _ in range(2):
        _, body, _ = await gateway.call("DELETE", "/api/v1/jobs/job_abc123?purge=false")
        assert body["status"] == "cancelled"
    _, body, _ = await gateway.call("DELETE", "/api/v1/jobs/job_abc123?purge=true")
    assert body == {"job_id": "job_abc123", "status": "deleted", "freed_bytes": 5, "pending": False}
    peers.answer(orchestrator.DELETE_JOB, Refused(RefusalCode.CONFLICT, "The job still goes on: cancel it first"))
    status, body, _ = await gateway.call("DELETE", "/api/v1/jobs/job_abc123?purge=true")
    assert (status, body["error"]) == (409, "CONFLICT")
    status, body, _ = await gateway.call("DELETE", "/api/v1/jobs/job_abc123?purge=perhaps")
    assert (status, body["metadata"]["errors"][0]["field"]) == (400, "purge")


async def test_document_e_gets_data_sets(gateway: Gateway, peers: Peers) -> None:
    peers.answer(registry.GET_DATASET, dataset())
    peers.answer(registry.LIST_DATASETS, DatasetPage(items=[dataset()], total=1, limit=20, offset=0, has_more=False))
    body = await gateway.get("/api/v1/datasets/ds_0123456789abcdef")
    names = ("dataset_id", "filename", "format", "rows", "columns", "created_at", "s3_path")
    assert part(body, *names) == {
        "dataset_id": "ds_0123456789abcdef",
        "filename": "a.csv",
        "format": "csv",
        "rows": 2,
        "columns": ["text", "label"],
        "created_at": TIME,
        "s3_path": "s3://datasets/ds_0123456789abcdef/a.csv",
    }
    assert (await gateway.get("/api/v1/datasets"))["items"] == [body]


async def test_document_e_previews_a_data_set_with_its_gaps(gateway: Gateway, peers: Peers) -> None:
    samples: list[dict[str, Any]] = [{"text": "a", "label": None}]
    peers.answer(registry.PREVIEW_DATASET, DatasetPreview(dataset_id="ds_1", samples=samples, total_rows=10000))
    body = await gateway.get("/api/v1/datasets/ds_1/preview")
    assert body == {"dataset_id": "ds_1", "samples": samples, "total_rows": 10000}
    assert peers.asked(registry.PREVIEW_DATASET).limit == 10


async def test_document_e_lists_and_gets_models(gateway: Gateway, peers: Peers) -> None:
    found = model()
    summary = ModelSummary.model_validate(
        found.model_dump(include=set(ModelSummary.model_fields)) | {"exports": ["adapter"]}
    )
    peers.answer(registry.LIST_MODELS, ModelPage(models=[summary], total=1, limit=20, offset=0, has_more=False))
    peers.answer(registry.GET_MODEL, found)
    page = await gateway.get("/api/v1/models?base_model=meta-llama/Llama-2-7b-hf")
    (listed,) = page.pop("models")
    assert page == {"total": 1, "limit": 20, "offset": 0, "has_more": False}
    documented = {
        "model_id": "model_abc123",
        "run_id": "abc123",
        "model_name": "llama2-finetuned",
        "base_model": "meta-llama/Llama-2-7b-hf",
        "created_at": TIME,
        "metrics": {"accuracy": 0.92},
        "exports": ["adapter"],
    }
    assert part(listed, *documented) == documented
    assert peers.asked(registry.LIST_MODELS).base_model == "meta-llama/Llama-2-7b-hf"
    body = await gateway.get("/api/v1/models/model_abc123")
    assert part(body, "model_id", "exports", "training_config") == {
        "model_id": "model_abc123",
        "exports": {"adapter": "s3://artifacts/abc123/adapter"},
        "training_config": {"method": "lora", "learning_rate": 2e-4},
    }


async def test_document_e_gets_a_card_as_markdown(gateway: Gateway, peers: Peers) -> None:
    peers.answer(registry.GET_MODEL_CARD, ModelCard(model_id="model_abc123", markdown="# Größe\n"))
    status, body, headers = await gateway.call("GET", "/api/v1/models/model_abc123/card")
    assert (status, body) == (200, "# Größe\n")
    assert headers["Content-Type"] == "text/markdown; charset=utf-8"


async def test_document_e_gets_the_history_of_a_log(gateway: Gateway, peers: Peers) -> None:
    record = LogRecord(run_id="abc123", timestamp=MOMENT, agent="DatasetAgent", level="INFO", message="Starting")
    metric = record.model_copy(update={"level": "METRIC", "step": 100, "loss": 1.85})
    entries = [LogEntry(sequence=7, record=record), LogEntry(sequence=9, record=metric)]
    peers.answer(orchestrator.GET_LOGS, LogPage(run_id="abc123", entries=entries, total=2))
    body = await gateway.get("/api/v1/logs/history/abc123?limit=1000")
    shared = {"run_id": "abc123", "timestamp": TIME, "agent": "DatasetAgent", "message": "Starting"}
    assert body == {
        "run_id": "abc123",
        "logs": [{**shared, "level": "INFO"}, {**shared, "level": "METRIC", "step": 100, "loss": 1.85}],
        "total": 2,
        "last_sequence": 9,
        "has_more": False,
    }


async def test_document_a_lists_models_in_its_envelope(gateway: Gateway, peers: Peers) -> None:
    peers.answer(router.LIST_SERVED_MODELS, ServedModels(models=[served("gpt-4")]))
    body = await gateway.get("/api/v1/llm/models")
    assert set(body) == {"status", "data"}
    assert body["status"] == "success"
    names = ("id", "name", "provider", "max_tokens", "status", "created_at", "updated_at")
    assert part(body["data"]["models"][0], *names) == {
        "id": 1,
        "name": "gpt-4",
        "provider": "local",
        "max_tokens": 2048,
        "status": "active",
        "created_at": TIME,
        "updated_at": TIME,
    }


async def test_document_b_configures(gateway: Gateway, peers: Peers) -> None:
    peers.answer(router.UPDATE_CONFIG, ConfigUpdated())
    assert await gateway.get("/api/v1/llm/config") == CONFIG.model_dump() == Config(**CONFIG.model_dump()).model_dump()
    assert await gateway.post("/api/v1/llm/config", {"model_name": "m", "auth_token": "s"}) == {"success": True}
    assert peers.asked(router.UPDATE_CONFIG).model_fields_set >= {"model_name", "auth_token"}


async def test_document_b_tests_a_prompt(gateway: Gateway, peers: Peers) -> None:
    peers.answer(router.TEST_PROMPT, router.TestResult(result="Hi", model="m", duration=0.5))
    body = await gateway.post("/api/v1/llm/test", {"prompt": "Say hi", "input": "now"})
    assert body == {"result": "Hi", "model": "m", "duration": 0.5}
    assert peers.asked(router.TEST_PROMPT).max_tokens == 1000


async def test_a_prompt_s_test_streams_to_those_who_accept_events(gateway: Gateway, peers: Peers) -> None:
    async def answer(_: router.TestPrompt) -> AsyncIterator[router.ChatDelta | router.ChatReply]:
        yield router.ChatDelta(content="Hello")
        yield router.ChatDelta(content=" there")
        yield REPLY.model_copy(update={"content": "Hello there", "cost": Decimal("0.0002")})

    peers.stream(router.TEST_STREAM, answer)
    events = await trial(gateway)
    assert [(name, body.get("content")) for name, body in events[:2]] == [("delta", "Hello"), ("delta", " there")]
    name, result = events[2]
    assert name == "result"
    assert part(result, "result", "model", "duration", "cost") == {
        "result": "Hello there",
        "model": "m",
        "duration": 0.1,
        "cost": "0.0002",
    }
    assert result["usage"]["total_tokens"] == 5


async def test_a_streamed_test_that_breaks_off_ends_with_an_error(gateway: Gateway, peers: Peers) -> None:
    async def answer(_: router.TestPrompt) -> AsyncIterator[router.ChatDelta | router.ChatReply]:
        yield router.ChatDelta(content="Hel")
        raise Refused(RefusalCode.ENGINE_FAILED, "The engine broke off")

    peers.stream(router.TEST_STREAM, answer)
    _, (name, error) = await trial(gateway)
    assert (name, error["error"]["type"]) == ("error", "engine_failed")
    assert error["error"]["troubleshooting"]
    peers.stream(router.TEST_STREAM, Refused(RefusalCode.NOT_FOUND, "There is no model 'x'"))
    headers = {"Accept": "text/event-stream"}
    status, body, _ = await gateway.call("POST", "/api/v1/llm/test", json={"prompt": "a"}, headers=headers)
    assert (status, body["error"]["type"]) == (404, "not_found")


async def trial(gateway: Gateway) -> list[tuple[str, Any]]:
    """The events of a streamed test, by name."""
    headers = {"Accept": "text/event-stream"}
    status, text, got = await gateway.call("POST", "/api/v1/llm/test", json={"prompt": "Say hi"}, headers=headers)
    assert (status, got.get("Content-Type")) == (200, "text/event-stream; charset=utf-8")
    events = [event.split("\n", 1) for event in text.rstrip().split("\n\n")]
    return [(name.removeprefix("event: "), orjson.loads(data.removeprefix("data: "))) for name, data in events]
