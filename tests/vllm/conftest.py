"""The whole platform with a real vLLM, started once, and two models that the demo trains on it."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from embedded.demo import questions
from embedded.demo.base_model import BASE_MODEL
from embedded.platform import FREE_PORTS, Platform
from embedded.vllm import VLLM
from tests.e2e.caller import Caller

ENVIRONMENT = Path(f"{sys.prefix}-vllm")
START_SECONDS = 300.0
"""For vLLM to come up: some 30 s on an idle machine with two cores."""

T = TypeVar("T")


@pytest.fixture(scope="session")
async def platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """With room for one adapter on an engine."""
    if not (ENVIRONMENT / "bin" / "python").exists():
        pytest.skip(f"vLLM is not installed in {ENVIRONMENT}: `make test-vllm` installs it")
    directory = tmp_path_factory.mktemp("platform") / "data"
    _make_base_model(directory / "models" / BASE_MODEL, tmp_path_factory.mktemp("prose"))
    environment = {
        **FREE_PORTS,
        "PLATFORM_ENGINE": "vllm",
        "PLATFORM_VLLM_ENVIRONMENT": str(ENVIRONMENT),
        "PLATFORM_ADAPTERS_PER_ENGINE": "1",
        "PLATFORM_USER_REQUESTS_PER_MINUTE": "1000000",
    }
    with Platform(directory, environment) as platform:
        await vllm_is_up(platform)
        yield platform


def _make_base_model(out: Path, work: Path) -> None:
    """The demo's base model, made in seconds: it answers worse, which is no matter here."""
    text = work / "prose.txt"
    text.write_text("\n\n".join(questions.read_library().prose[:400]), encoding="utf-8")
    command = [sys.executable, "-m", "trainer.tiny_model", "--text", text, "--out", out, "--steps", "10"]
    subprocess.run(command, check=True)


async def vllm_is_up(platform: Platform) -> None:
    """Returns once the router asks vLLM. Raises AssertionError with the log's end when it does not come up."""
    deadline = time.monotonic() + START_SECONDS
    async with Caller(platform.url, platform.admin_key) as caller:
        while await _status(caller) != "available":
            given_up = "vLLM was given up" in platform.log_text or time.monotonic() > deadline
            assert not given_up, platform.log_text[-4000:]
            await asyncio.sleep(0.2)


async def _status(caller: Caller) -> str:
    engines = (await caller.get("/api/v1/llm/engines"))["items"]
    status: str = next(engine["status"] for engine in engines if engine["name"] == VLLM)
    return status


@pytest.fixture(scope="session")
async def first_model(platform: Platform) -> str:
    """The id of a model that `make demo` has trained, and asked, on this platform."""
    return await _demo(platform, epochs=2)


@pytest.fixture(scope="session")
async def second_model(platform: Platform, first_model: str) -> str:
    """The id of another one, trained for half as long."""
    return await _demo(platform, epochs=1)


async def _demo(platform: Platform, epochs: int) -> str:
    where = ["--url", platform.url, "--key", platform.admin_key]
    done = subprocess.run(  # noqa: ASYNC221 - nothing else happens meanwhile
        [sys.executable, "-m", "embedded.demo", *where, "--rows", "400", "--epochs", str(epochs)],
        env={**os.environ, "PLATFORM_DATA_DIR": str(platform.data_dir)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    async with Caller(platform.url, platform.admin_key) as caller:
        model_id: str = (await caller.get("/api/v1/models/python-docs"))["model_id"]
    return model_id


@pytest.fixture
async def caller(platform: Platform) -> AsyncIterator[Caller]:
    """The administrator, over REST."""
    async with Caller(platform.url, platform.admin_key) as caller:
        yield caller


@pytest.fixture
async def vllm(platform: Platform) -> AsyncIterator[Caller]:
    """vLLM itself, behind the platform's back."""
    async with vllm_itself(platform) as vllm:
        yield vllm


def vllm_itself(platform: Platform) -> Caller:
    return Caller(f"http://127.0.0.1:{platform.ports()[VLLM]}", "")


async def soon(check: Callable[[], Awaitable[T]], seconds: float = 30.0) -> T:
    """The first true result of `check`. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not (result := await check()):  # noqa: ASYNC110 - nothing tells a caller when
            await asyncio.sleep(0.1)
    return result
