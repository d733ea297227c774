"""A real gateway in this process, on real servers, with scripted peers behind the bus."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from common.objects import Objects, ObjectStore
from common.service import Service, running
from common.settings import ServiceSettings
from embedded.endpoints import Endpoints
from gateway.main import build
from gateway.settings import GatewaySettings
from tests.gateway.peers import Peers, peers_on

ADMIN_KEY = "an-admin-key-for-tests"
Answer = tuple[int, Any, "aiohttp.typedefs.CIMultiDictProxy[str]"]


@dataclass(frozen=True)
class Gateway:
    """A running gateway, and a client that has its admin key."""

    url: str
    client: aiohttp.ClientSession
    service: Service

    async def call(self, method: str, path: str, *, key: str | None = ADMIN_KEY, **options: Any) -> Answer:
        """Status, body (JSON, or text where it is none) and headers."""
        headers = {**({"Authorization": f"Bearer {key}"} if key else {}), **options.pop("headers", {})}
        async with self.client.request(method, self.url + path, headers=headers, **options) as response:
            body = await (response.json() if response.content_type == "application/json" else response.text())
            return response.status, body, response.headers

    async def get(self, path: str, **options: Any) -> Any:
        status, body, _ = await self.call("GET", path, **options)
        assert status == 200, body
        return body

    async def post(self, path: str, body: Any, *, status: int = 200, **options: Any) -> Any:
        got, answer, _ = await self.call("POST", path, json=body, **options)
        assert got == status, answer
        return answer


@pytest.fixture(scope="session")
def settings_of(servers: Endpoints) -> Callable[[str], ServiceSettings]:
    """The settings that a service of that name would have."""

    def settings(service: str) -> ServiceSettings:
        return ServiceSettings.model_validate(_shared(servers, service))

    return settings


def _shared(servers: Endpoints, service: str) -> dict[str, Any]:
    environment = servers[service].environment()
    return {name.removeprefix("PLATFORM_").lower(): value for name, value in environment.items()}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


Start = Callable[..., Any]


@pytest.fixture(scope="session")
def start(servers: Endpoints) -> Start:
    """Starts a gateway with settings of one's own: `async with start(max_upload_bytes=10) as gateway`."""

    @asynccontextmanager
    async def started(**own: Any) -> AsyncIterator[Gateway]:
        port = free_port()
        settings = GatewaySettings.model_validate(
            {
                **_shared(servers, "gateway"),
                "port": port,
                "admin_key": ADMIN_KEY,
                "shutdown_seconds": 1,
                # All tests are one caller at one address.
                "user_requests_per_minute": 10**7,
                "address_requests_per_minute": 10**7,
                "tests_per_minute": 10**7,
                "logins_per_minute": 0,
                **own,
            }
        )
        async with running("gateway", settings, build) as service, aiohttp.ClientSession() as client:
            yield Gateway(f"http://127.0.0.1:{port}", client, service)

    return started


@pytest.fixture
async def peers(settings_of: Callable[[str], ServiceSettings]) -> AsyncIterator[Peers]:
    async with peers_on(settings_of) as connected:
        yield connected


@pytest.fixture
async def gateway(start: Start, peers: Peers) -> AsyncIterator[Gateway]:
    async with start() as started:
        yield started


@pytest.fixture(scope="session")
def objects(servers: Endpoints) -> ObjectStore:
    access = servers["gateway"]
    return ObjectStore(Objects(access.s3_endpoint, access.s3_access_key, access.s3_secret_key))
