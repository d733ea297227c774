"""The services behind the gateway, as real peers on the bus whose answers a test says."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from common.bus import Bus, Handlers
from common.context import Call, current
from common.settings import ServiceSettings
from contracts import (
    actions,
    content,
    engines,
    instances,
    interactions,
    metrics,
    orchestrator,
    prompts,
    registry,
    router,
    run_events,
    tasks,
    triggers,
    workflow_runs,
    workflows,
)
from contracts.base import ChunkT, FinalT, RefusalCode, Refused, ReplyT, RequestT, Rpc, Stream
from contracts.orchestrator import Job, JobPage, JobProgress
from contracts.registry import Dataset, DatasetAnalysis, LengthStats, Model, ModelPage
from contracts.router import ChatReply, Config, ServedModel, Usage

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CONFIG = Config(provider_type="simulated", model_name="simulated-small", api_base="http://127.0.0.1:5001/v1")
REPLY = ChatReply(
    id="chatcmpl-1",
    model="m",
    created=1_700_000_000,
    content="Hello there",
    finish_reason="stop",
    usage=Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5),
    engine="local",
    simulated=False,
    seconds=0.1,
)
_OWNERS = {
    "registry": (registry,),
    "orchestrator": (orchestrator, tasks, prompts, actions, content, workflows, workflow_runs, run_events, triggers),
    "llm_router": (router, engines, instances, interactions, metrics),
}


class Peers:
    """Registry, orchestrator and router. What a test has not said is refused as not found."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any, Call]] = []
        self.buses: dict[str, Bus] = {}
        self._answers: dict[str, Any] = {}
        self.answer(registry.LIST_MODELS, ModelPage(models=[], total=0, limit=20, offset=0, has_more=False))
        self.answer(orchestrator.LIST_JOBS, JobPage(items=[], total=0, limit=20, offset=0, has_more=False))
        self.answer(router.GET_CONFIG, CONFIG)

    def answer(
        self, rpc: Rpc[RequestT, ReplyT], reply: ReplyT | Exception | Callable[[RequestT], ReplyT | Awaitable[ReplyT]]
    ) -> None:
        """From now on `rpc` is answered with `reply`, or with what it returns; an exception is raised."""
        self._answers[rpc.subject] = reply

    def stream(
        self,
        stream: Stream[RequestT, ChunkT, FinalT],
        source: Exception | Callable[[RequestT], AsyncIterator[ChunkT | FinalT]],
    ) -> None:
        self._answers[stream.subject] = source

    def asked(self, contract: Rpc[RequestT, Any] | Stream[RequestT, Any, Any]) -> RequestT:
        """What was asked last."""
        request: RequestT = next(request for subject, request, _ in reversed(self.heard) if subject == contract.subject)
        return request

    def call(self, contract: Rpc[Any, Any] | Stream[Any, Any, Any]) -> Call:
        """On whose behalf it was asked last."""
        return next(call for subject, _, call in reversed(self.heard) if subject == contract.subject)

    async def reply(self, subject: str, request: Any) -> Any:
        self.heard.append((subject, request, current()))
        answer = self._answers.get(subject, Refused(RefusalCode.NOT_FOUND, "There is no such thing"))
        if isinstance(answer, Exception):
            raise answer
        if not callable(answer):
            return answer
        result = answer(request)
        return await result if inspect.isawaitable(result) else result

    async def chunks(self, subject: str, request: Any) -> AsyncIterator[Any]:
        self.heard.append((subject, request, current()))
        answer = self._answers.get(subject, Refused(RefusalCode.NOT_FOUND, "There is no such model"))
        if isinstance(answer, Exception):
            raise answer
        async for item in answer(request):
            yield item


def _handlers(module: Any) -> Handlers[Peers]:
    table = Handlers[Peers]()

    def register(contract: Any) -> None:
        if isinstance(contract, Rpc):

            @table.on(contract)
            async def answer(peers: Peers, request: Any) -> Any:
                return await peers.reply(contract.subject, request)

        elif isinstance(contract, Stream):

            @table.on_stream(contract)
            async def stream(peers: Peers, request: Any) -> AsyncIterator[Any]:
                async for item in peers.chunks(contract.subject, request):
                    yield item

    for contract in vars(module).values():
        register(contract)
    return table


@asynccontextmanager
async def peers_on(settings_of: Callable[[str], ServiceSettings]) -> AsyncIterator[Peers]:
    """Connects all three as the services they stand for."""
    peers = Peers()
    for service, modules in _OWNERS.items():
        bus = await Bus.connect(settings_of(service), service)
        peers.buses[service] = bus
        for module in modules:
            await bus.serve(_handlers(module), peers)
    yield peers
    for bus in peers.buses.values():
        await bus.close(grace=0.5)


def dataset(dataset_id: str = "ds_0123456789abcdef", **changes: Any) -> Dataset:
    analysis = DatasetAnalysis(
        rows=2,
        columns=["text", "label"],
        column_types={"text": "string", "label": "string"},
        text_column="text",
        stats=LengthStats(avg_length=2.5, min_length=1, max_length=4),
        missing={"text": 0, "label": 0},
        duplicate_rows=0,
    )
    fields: dict[str, Any] = {
        "dataset_id": dataset_id,
        "filename": "a.csv",
        "format": "csv",
        "size_bytes": 10,
        "sha256": "0" * 64,
        "s3_path": f"s3://datasets/{dataset_id}/a.csv",
        "rows": 2,
        "columns": ["text", "label"],
        "analysis": analysis,
        "created_at": MOMENT,
    }
    return Dataset(**(fields | changes))


def job(run_id: str = "abc123", status: str = "running", **changes: Any) -> Job:
    fields: dict[str, Any] = {
        "job_id": f"job_{run_id}",
        "run_id": run_id,
        "status": status,
        "created_at": MOMENT,
        "started_at": MOMENT,
        "completed_at": None,
        "progress": JobProgress(
            completed_agents=["dataset"], current_agent="validation", current_agents=["validation"], total_agents=3
        ),
        "steps": [],
        "model_id": None,
        "result": None,
        "error": None,
    }
    return Job(**(fields | changes))


def model(model_id: str = "model_abc123") -> Model:
    return Model(
        model_id=model_id,
        run_id="abc123",
        model_name="llama2-finetuned",
        description="",
        base_model="meta-llama/Llama-2-7b-hf",
        dataset_id=None,
        training_config={"method": "lora", "learning_rate": 2e-4},
        metrics={"accuracy": 0.92},
        exports={"adapter": "s3://artifacts/abc123/adapter"},
        chat_template=None,
        created_at=MOMENT,
    )


def served(name: str, *, status: str = "active", number: int = 1) -> ServedModel:
    return ServedModel.model_validate(
        {
            "id": number,
            "name": name,
            "provider": "local",
            "max_tokens": 2048,
            "status": status,
            "engine": "local",
            "created_at": MOMENT,
            "updated_at": MOMENT,
        }
    )
