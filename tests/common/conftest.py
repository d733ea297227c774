"""Two services that talk: a gateway that asks, and whoever answers."""

from collections.abc import AsyncIterator, Callable

import pytest

from common.bus import Bus
from common.settings import ServiceSettings
from embedded.endpoints import Endpoints

from .talking import Seen, handlers


@pytest.fixture(scope="session")
def settings_of(servers: Endpoints) -> Callable[[str], ServiceSettings]:
    """The settings that a service of that name would have."""

    def settings(service: str) -> ServiceSettings:
        access = servers[service]
        return ServiceSettings(
            nats_url=access.nats_url,
            nats_user=access.nats_user,
            nats_password=access.nats_password,
            database_url=access.database_url,
            s3_endpoint=access.s3_endpoint,
            s3_access_key=access.s3_access_key,
            s3_secret_key=access.s3_secret_key,
        )

    return settings


@pytest.fixture
async def asker(settings_of: Callable[[str], ServiceSettings]) -> AsyncIterator[Bus]:
    bus = await Bus.connect(settings_of("gateway"), "gateway")
    yield bus
    await bus.close()


@pytest.fixture
async def answerer(settings_of: Callable[[str], ServiceSettings]) -> AsyncIterator[Bus]:
    bus = await Bus.connect(settings_of("llm_router"), "llm_router")
    yield bus
    await bus.close()


@pytest.fixture
async def seen(answerer: Bus) -> Seen:
    seen = Seen()
    await answerer.serve(handlers(), seen)
    return seen


@pytest.fixture
async def orchestrating(settings_of: Callable[[str], ServiceSettings]) -> AsyncIterator[Bus]:
    bus = await Bus.connect(settings_of("orchestrator"), "orchestrator")
    yield bus
    await bus.close()
