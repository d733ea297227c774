"""A router on real NATS, Postgres and S3, with engines that tests control and a registry that answers from memory."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import nats
import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from common.bus import Bus, Handlers
from common.context import Call, Principal, calling
from common.database import Database, Record
from common.objects import Objects, S3Path
from common.service import running as running_service
from common.settings import ServiceSettings
from contracts import registry
from contracts.base import Empty, Refused
from contracts.engines import LIST_ENGINES, Engine, ListEngines
from contracts.gateway import Role
from contracts.registry import GetServing, ServableAlias, ServableModel, Serving, ServingChanged
from contracts.router import (
    CHAT_COMPLETE,
    CHAT_STREAM,
    INTERACTIONS_RECORDED,
    LIST_SERVED_MODELS,
    Chat,
    ChatDelta,
    ChatMessage,
    ChatReply,
    ServedModel,
)
from contracts.topology import ARTIFACTS_BUCKET
from embedded.endpoints import Endpoints
from llm_router.domain.engines import DeclaredEngine
from llm_router.main import NAME, build
from llm_router.settings import RouterSettings
from tests.llm_router.upstream import Upstream, running

T = TypeVar("T")


PATIENCE = 20.0
"""Seconds after which what a test waits for counts as not happening; on an idle machine it takes moments."""


async def soon(check: Callable[[], Awaitable[T]], seconds: float = PATIENCE) -> T:
    """The first true result of `check`. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not (result := await check()):  # noqa: ASYNC110 - nothing tells a caller when
            await asyncio.sleep(0.02)
    return result


async def until(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Returns once it holds. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - nothing tells a caller when
            await asyncio.sleep(0.02)


@dataclass
class Registry:
    """The registry's answer to what is served, and its event."""

    bus: Bus
    models: dict[str, ServableModel] = field(default_factory=dict)
    aliases: dict[tuple[str, str], ServableAlias] = field(default_factory=dict)
    revision: int = field(default_factory=time.time_ns)
    """Beyond all that earlier tests have told: events are kept."""
    asked: int = 0

    def put(self, name: str, *, base_model: str, adapter: str, chat_template: str | None = None) -> ServableModel:
        """Enters a model without telling anybody."""
        self.revision += 1
        model = ServableModel(
            revision=self.revision,
            model_id=f"model_{uuid.uuid4().hex[:12]}",
            model_name=name,
            version=1 + sum(known.model_name == name for known in self.models.values()),
            base_model=base_model,
            exports={"adapter": adapter},
            chat_template=chat_template,
            created_at=datetime.now(UTC),
            served=True,
            wanted=False,
        )
        self.models[model.model_id] = model
        return model

    async def serve(self, model: ServableModel, *, served: bool, wanted: bool = False) -> None:
        """Deploys or undeploys a model, and tells of it."""
        self.revision += 1
        changes = {"served": served, "wanted": wanted, "revision": self.revision}
        self.models[model.model_id] = model.model_copy(update=changes)
        await self.tell()

    async def move(self, name: str, alias: str, model_id: str | None) -> None:
        """Has the alias name another model, and tells of it."""
        self.revision += 1
        self.aliases[name, alias] = ServableAlias(
            revision=self.revision, model_name=name, alias=alias, model_id=model_id
        )
        await self.tell()

    async def tell(self) -> None:
        """Publishes the event that something has changed."""
        event = ServingChanged(revision=self.revision)
        await self.bus.publish(registry.SERVING_CHANGED, event, message_id=uuid.uuid4().hex)


REGISTRY_ANSWERS = Handlers[Registry]()


@REGISTRY_ANSWERS.on(registry.GET_SERVING)
async def get_serving(known: Registry, request: GetServing) -> Serving:
    known.asked += 1
    return Serving(
        revision=known.revision,
        models=[model for model in known.models.values() if model.revision > request.after],
        aliases=[alias for alias in known.aliases.values() if alias.revision > request.after],
        has_more=False,
    )


@dataclass(frozen=True)
class House:
    """What a test of the service holds: callers' side of the bus, the engines, the stores."""

    bus: Bus
    registry: Registry
    database: Database
    objects: Objects
    adapter_dir: Path
    upstreams: Sequence[Upstream]

    async def ask(self, model: str = "m", content: str = "Hello", timeout: float = 20.0) -> ChatReply:
        return await self.bus.ask(CHAT_COMPLETE, chat(model, content), timeout=timeout)

    async def refusal(self, model: str = "m", timeout: float = 20.0) -> Refused:
        with pytest.raises(Refused) as caught:
            await self.ask(model, timeout=timeout)
        return caught.value

    async def stream(self, model: str = "m", content: str = "Hello") -> list[ChatDelta | ChatReply]:
        return [item async for item in self.bus.stream(CHAT_STREAM, chat(model, content))]

    async def last(self, model: str = "m", content: str = "Hello") -> ChatReply:
        """The whole at the end of a stream."""
        reply = (await self.stream(model, content))[-1]
        assert isinstance(reply, ChatReply)
        return reply

    async def models(self) -> dict[str, ServedModel]:
        return {model.name: model for model in (await self.bus.ask(LIST_SERVED_MODELS, Empty())).models}

    async def discovered(self, *names: str) -> None:
        """Returns once the models are known."""

        async def known() -> bool:
            return set(names) <= set(await self.models())

        await soon(known)

    async def engines(self) -> dict[str, Engine]:
        return {engine.name: engine for engine in (await self.bus.ask(LIST_ENGINES, ListEngines())).items}

    async def rows(self, query: str, *arguments: object) -> list[Record]:
        async with self.database.connection() as connection:
            rows: list[Record] = await connection.fetch(query, *arguments)
            return rows

    async def recorded(self, content: str) -> Record:
        """The one interaction with this input."""

        async def found() -> list[Record]:
            return await self.rows("SELECT * FROM interactions WHERE input_text = $1", content)

        rows = await soon(found)
        assert len(rows) == 1
        return rows[0]

    def put_adapter(self, *, without: str = "", extra: str = "") -> str:
        """Stores an adapter export; returns its `s3://` prefix."""
        prefix = S3Path(ARTIFACTS_BUCKET, f"tests/{uuid.uuid4().hex}")
        for name in ("adapter_config.json", "adapter_model.safetensors", extra):
            if name and name != without:
                self.objects.put_bytes(prefix / name, b"{}")
        return str(prefix)


def chat(model: str, content: str) -> Chat:
    return Chat(model=model, messages=[ChatMessage(role="user", content=content)])


@asynccontextmanager
async def as_role(role: Role) -> AsyncIterator[None]:
    """Asks as somebody with that role for the duration of the block."""
    with calling(Call(principal=Principal(id="key_1", name="test", role=role))):
        yield


def settings_for(servers: Endpoints, service: str) -> ServiceSettings:
    access = servers[service]
    return ServiceSettings(
        nats_url=access.nats_url,
        nats_user=access.nats_user,
        nats_password=SecretStr(access.nats_password),
        database_url=SecretStr(access.database_url),
        s3_endpoint=access.s3_endpoint,
        s3_access_key=access.s3_access_key,
        s3_secret_key=SecretStr(access.s3_secret_key),
    )


SECRET_KEY = SecretStr(Fernet.generate_key().decode())

FAST = {
    "engine_check_interval": 0.3,
    "engine_check_timeout": 1.0,
    "engine_patience": 1.5,
    "model_load_timeout": 30.0,
    "engine_silence_timeout": 2.0,
}


def router_settings(
    servers: Endpoints, adapter_dir: Path, engines: Sequence[DeclaredEngine], **options: object
) -> RouterSettings:
    common = settings_for(servers, NAME).model_dump()
    given = {"adapter_dir": adapter_dir, "engines": tuple(engines), "secret_key": SECRET_KEY, **FAST, **options}
    return RouterSettings.model_validate(common | given)


@pytest.fixture
async def database(servers: Endpoints) -> AsyncIterator[Database]:
    """The router's schema, as after its first migration, and nothing on its way there from an earlier test."""
    administrator = servers.administrator
    connection = await nats.connect(
        administrator.nats_url, user=administrator.nats_user, password=administrator.nats_password
    )
    await connection.jetstream().purge_stream(INTERACTIONS_RECORDED.stream)
    await connection.close()
    url = settings_for(servers, NAME).database_url.get_secret_value()
    database = await Database.connect(url, NAME, size=2)
    await database.migrate(NAME)
    async with database.transaction() as connection:
        await connection.execute("TRUNCATE engines, served_models, model_settings, interactions, usage_by_day, outbox")
        await connection.execute("UPDATE config SET engine = NULL, model = NULL, revision = 0")
    yield database
    await database.close()


@pytest.fixture
async def known(servers: Endpoints) -> AsyncIterator[Registry]:
    bus = await Bus.connect(settings_for(servers, "registry"), "registry")
    known = Registry(bus)
    await bus.serve(REGISTRY_ANSWERS, known)
    yield known
    await bus.close()


@pytest.fixture
async def caller(servers: Endpoints) -> AsyncIterator[Bus]:
    bus = await Bus.connect(settings_for(servers, "gateway"), "gateway")
    yield bus
    await bus.close()


Open = Callable[..., Awaitable[House]]


@pytest.fixture
async def open_house(
    servers: Endpoints, database: Database, known: Registry, caller: Bus, tmp_path: Path
) -> AsyncIterator[Open]:
    """Starts a router: `await open_house(engines=2, replicas=2, provider="local", engine_patience=0)`."""
    async with AsyncExitStack() as stack:

        async def opened(
            engines: int = 1,
            *,
            replicas: int = 1,
            provider: str = "openai",
            declared: Sequence[DeclaredEngine] = (),
            **options: object,
        ) -> House:
            upstreams = [await stack.enter_async_context(running()) for _ in range(engines)]
            named = [
                DeclaredEngine.model_validate({"name": f"e{i}", "provider_type": provider, "api_base": upstream.url})
                for i, upstream in enumerate(upstreams)
            ]
            settings = router_settings(servers, tmp_path / "adapters", [*named, *declared], **options)
            for _ in range(replicas):
                await stack.enter_async_context(running_service(NAME, settings, build))
            objects = Objects.from_settings(settings)
            return House(caller, known, database, objects, settings.adapters, upstreams)

        yield opened
