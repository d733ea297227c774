"""The platform's health: every part is asked something cheap, all at once, each for a bounded time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Literal

from common.bus import Bus
from common.database import Database
from common.objects import ObjectStore, S3Path
from common.telemetry import get_logger
from contracts import orchestrator, registry, router
from contracts.base import Empty, Message, RefusalCode, Refused, ReplyT, RequestT, Rpc
from contracts.topology import DATASETS_BUCKET
from gateway import API_VERSION
from gateway.routes.platform import Health

_PATIENCE = 2.0
_KEEP = 1.0
_NO_OBJECT = S3Path(DATASETS_BUCKET, "health")

_log = get_logger("health")
Check = Callable[[], Awaitable[object]]


class HealthMonitor:
    """Answers from the last look for a second, since anyone may ask and each look asks every service."""

    def __init__(self, bus: Bus, database: Database, objects: ObjectStore) -> None:
        self._bus = bus
        self._objects = objects
        self._lock = asyncio.Lock()
        self._seen: tuple[float, Health] | None = None
        self._checks: dict[str, Check] = {
            "nats": bus.ping,
            "postgres": database.ping,
            "object-store": self._object_store_answers,
            "registry": self._asking(registry.LIST_MODELS, registry.ListModels(limit=1)),
            "orchestrator": self._asking(orchestrator.LIST_JOBS, orchestrator.ListJobs(limit=1)),
            "llm-router": self._asking(router.GET_CONFIG, Empty()),
        }

    async def look(self) -> Health:
        async with self._lock:
            if self._seen is None or time.monotonic() - self._seen[0] > _KEEP:
                self._seen = (time.monotonic(), await self._look())
            return self._seen[1]

    async def _look(self) -> Health:
        states = await asyncio.gather(*(self._state(name, check) for name, check in self._checks.items()))
        services: dict[str, Literal["healthy", "unhealthy"]] = {"api": "healthy"}
        services.update(zip(self._checks, states, strict=True))
        if services["nats"] == "unhealthy":
            status: Literal["healthy", "degraded", "unhealthy"] = "unhealthy"
        else:
            status = "healthy" if set(services.values()) == {"healthy"} else "degraded"
        return Health(status=status, version=API_VERSION, services=services)

    async def _state(self, name: str, check: Check) -> Literal["healthy", "unhealthy"]:
        try:
            async with asyncio.timeout(_PATIENCE):
                await check()
        except Exception as error:
            _log.warning("part_unhealthy", part=name, error=repr(error))
            return "unhealthy"
        return "healthy"

    def _asking(self, rpc: Rpc[RequestT, ReplyT], request: RequestT) -> Check:
        async def check() -> Message:
            return await self._bus.ask(rpc, request, timeout=_PATIENCE, patience=0.0)

        return check

    async def _object_store_answers(self) -> None:
        try:
            await self._objects.stat(_NO_OBJECT)
        except Refused as refusal:
            if refusal.code is not RefusalCode.NOT_FOUND:
                raise
