"""A whole platform whose parts fail while calls are on their way, and engines that fail as a test says."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from embedded.platform import FREE_PORTS, Platform
from tests.chaos.callers import Callers
from tests.llm_router.upstream import Upstream, running


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    environment = {
        **FREE_PORTS,
        # One caller makes all tests' requests.
        "PLATFORM_USER_REQUESTS_PER_MINUTE": "1000000",
        # Slow enough to be killed in the middle of an answer.
        "PLATFORM_SIMULATED_TOKENS_PER_SECOND": "20",
        # What takes seconds to minutes in production need not keep a test waiting.
        "PLATFORM_ENGINE_CHECK_INTERVAL": "0.5",
        "PLATFORM_ENGINE_CHECK_TIMEOUT": "1",
        "PLATFORM_ENGINE_PATIENCE": "15",
        "PLATFORM_ENGINE_SILENCE_TIMEOUT": "6",
        "PLATFORM_BREAKER_COOLDOWN": "1",
    }
    with Platform(tmp_path_factory.mktemp("platform") / "data", environment) as platform:
        yield platform


@pytest.fixture(autouse=True)
def nothing_crashes(request: pytest.FixtureRequest) -> Iterator[None]:
    """What fails around it is told by a service, and is never a crash of its own."""
    if "platform" not in request.fixturenames:
        yield
        return
    platform: Platform = request.getfixturevalue("platform")
    before = platform.log_text.count("handler_crashed")
    yield
    assert platform.log_text.count("handler_crashed") == before


@pytest.fixture
async def callers(platform: Platform) -> AsyncIterator[Callers]:
    async with Callers(platform.url, platform.admin_key) as callers:
        yield callers


Serve = Callable[..., Awaitable[list[Upstream]]]


@pytest.fixture
async def serve(callers: Callers) -> AsyncIterator[Serve]:
    """Registers engines of one model, which has a name of its own: `first, second = await serve(2, timeout=1)`."""
    async with AsyncExitStack() as stack:

        async def served(count: int = 1, **options: object) -> list[Upstream]:
            name = f"chaos-{uuid.uuid4().hex[:8]}"
            upstreams = []
            for number in range(count):
                upstream = await stack.enter_async_context(running(models=[{"id": name, "object": "model"}]))
                body = {"name": f"{name}-{number}", "provider_type": "openai", "api_base": upstream.url, **options}
                made = await callers.post("/api/v1/llm/engines", body)
                stack.push_async_callback(callers.patiently, "DELETE", f"/api/v1/llm/engines/{made['id']}")
                upstreams.append(upstream)
            return upstreams

        yield served
