"""The whole platform, started once for all end-to-end tests, with its traces sent to a receiver in this process."""

import asyncio
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import openai
import pytest

from embedded.demo import questions
from embedded.platform import FREE_PORTS, Platform
from tests.e2e.caller import Caller
from tests.e2e.receiver import Receiver, receiving
from tests.llm_router.upstream import Upstream, running

BASE_MODEL = "small-llama"


@pytest.fixture(scope="session")
def library() -> questions.Library:
    return questions.read_library()


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Platform]:
    environment = {
        **FREE_PORTS,
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        # A killed worker's step comes back as soon as its lease ends: short, so that tests need not wait for it.
        "PLATFORM_LEASE_SECONDS": "4",
        # One caller makes all tests' requests.
        "PLATFORM_USER_REQUESTS_PER_MINUTE": "1000000",
    }
    with Platform(tmp_path_factory.mktemp("platform") / "data", environment) as platform:
        yield platform


@pytest.fixture(scope="session")
def base_model(platform: Platform, library: questions.Library, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A base model made in a few seconds: enough to see that training helps, too little to say anything."""
    text = tmp_path_factory.mktemp("prose") / "prose.txt"
    text.write_text("\n\n".join(library.prose[:400]), encoding="utf-8")
    out = platform.data_dir / "models" / BASE_MODEL
    command = [sys.executable, "-m", "trainer.tiny_model", "--text", text, "--out", out, "--steps", "5"]
    subprocess.run(command, check=True)
    return BASE_MODEL


@pytest.fixture(scope="session")
def small_csv(library: questions.Library, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("csv") / "small.csv"
    questions.write_csv(questions.sample(library.functions, 300), path)
    return path


@pytest.fixture
async def caller(platform: Platform) -> AsyncIterator[Caller]:
    """The administrator, over REST."""
    async with Caller(platform.url, platform.admin_key) as caller:
        yield caller


@pytest.fixture
def client(platform: Platform) -> openai.OpenAI:
    """OpenAI's own client, which tries nothing again."""
    return openai.OpenAI(base_url=f"{platform.url}/v1", api_key=platform.admin_key, max_retries=0)


@pytest.fixture
async def patient(platform: Platform) -> AsyncIterator[openai.AsyncOpenAI]:
    """The asynchronous client, with its usual two retries."""
    async with openai.AsyncOpenAI(base_url=f"{platform.url}/v1", api_key=platform.admin_key) as opened:
        yield opened


@pytest.fixture
async def engine(caller: Caller) -> AsyncIterator[Upstream]:
    """An OpenAI-compatible engine, of which the platform has just been told. Its model has a name of its own."""
    name = f"recorded-{uuid.uuid4().hex[:8]}"
    async with running(models=[{"id": name, "object": "model"}]) as upstream:
        body = {"name": name, "provider_type": "openai", "api_base": upstream.url, "auth_token": "engine-key"}
        made = await caller.post("/api/v1/llm/engines", body)
        deadline = time.monotonic() + 20
        while name not in [m["id"] for m in (await caller.get("/v1/models"))["data"]]:
            assert time.monotonic() < deadline, "the engine's model was not discovered"
            await asyncio.sleep(0.1)
        yield upstream
        await caller.call("DELETE", f"/api/v1/llm/engines/{made['id']}")
