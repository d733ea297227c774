"""The router with the platform's own engines: the simulated one as a process, the local one with a trained adapter."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from common.objects import S3Path
from contracts.base import Empty, RefusalCode
from contracts.router import CHAT_COMPLETE, DEFAULT_MODEL, GET_CONFIG, ChatReply
from contracts.topology import ARTIFACTS_BUCKET
from engines.local.app import build as build_local
from engines.local.settings import LocalSettings
from engines.server import listening
from llm_router.domain.engines import DeclaredEngine
from tests.engines.conftest import TinyModel, make_adapter, make_model
from tests.llm_router.conftest import Open, chat, soon

QUESTION = "what does the fox do"


@asynccontextmanager
async def process(module: str, *arguments: str) -> AsyncIterator[str]:
    """An engine as a process of its own on a free port; its URL."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        "--port",
        "0",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert child.stdout is not None
        async with asyncio.timeout(30):
            while (found := re.search(r"http://127\.0\.0\.1:\d+", (await child.stdout.readline()).decode())) is None:
                pass
        yield found[0]
    finally:
        if child.returncode is None:
            child.send_signal(signal.SIGTERM)
        await child.wait()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    """A base model with random weights, `tiny`."""
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def adapter(tiny: TinyModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_adapter(tiny, tmp_path_factory.mktemp("trained") / "adapter", seed=1)


async def test_a_simulated_engine_answers_the_first_call_and_says_what_it_is(open_house: Open) -> None:
    async with process("engines.simulated", "--model", "simulated-small") as url:
        house = await open_house(
            0, declared=[DeclaredEngine(name="Simulated LLM 1 (small)", provider_type="simulated", api_base=url)]
        )
        assert (await house.bus.ask(GET_CONFIG, Empty())).model_name == "simulated-small"
        reply = await house.ask(DEFAULT_MODEL)
        assert reply.simulated
        assert reply.content.startswith("[simulated]")
        assert reply.usage.prompt_tokens == 1
        assert reply.usage.completion_tokens > 10
        *pieces, whole = await house.stream("simulated-small")
        assert isinstance(whole, ChatReply)
        assert "".join(piece["content"] for piece in pieces if not isinstance(piece, ChatReply)) == whole.content
        assert whole.content == reply.content
        assert whole.usage == reply.usage


async def test_a_simulated_engine_that_cuts_its_streams_never_seems_to_end_one(open_house: Open) -> None:
    async with process("engines.simulated", "--fail-rate", "1", "--fail-after-tokens", "3") as url:
        engine = DeclaredEngine(name="cut", provider_type="simulated", api_base=url)
        house = await open_house(0, declared=[engine])
        with pytest.raises(Exception, match="broke off") as caught:
            await house.stream("simulated-small")
        assert getattr(caught.value, "code", None) is RefusalCode.ENGINE_UNAVAILABLE


async def test_a_trained_model_is_served_by_the_local_engine_beside_its_base(
    open_house: Open, tiny: TinyModel, adapter: Path, tmp_path: Path
) -> None:
    # Where `open_house` has the router put adapters.
    adapter_dir = tmp_path / "adapters"
    adapter_dir.mkdir()
    settings = LocalSettings(models_dir=tiny.folder.parent, adapter_dir=adapter_dir, hub=False, threads=1)
    async with listening(build_local(settings), "127.0.0.1", 0) as url:
        engine = DeclaredEngine(name="local", provider_type="local", api_base=url)
        house = await open_house(0, declared=[engine])
        prefix = S3Path(ARTIFACTS_BUCKET, f"tests/{adapter_dir.parent.name}")
        house.objects.put_directory(prefix, adapter)
        # Trainers may name a base by its path.
        model = house.registry.put("fox", base_model=str(tiny.folder), adapter=str(prefix))
        await house.registry.tell()

        prompt = tiny.chat_ids(QUESTION)
        expected, base = tiny.greedy(prompt, 12, adapter), tiny.greedy(prompt, 12)
        assert expected != base

        async def ask(name: str) -> str:
            request = chat(name, QUESTION).model_copy(update={"temperature": 0.0, "max_tokens": 12})
            return (await house.bus.ask(CHAT_COMPLETE, request)).content

        assert await ask("fox") == expected
        assert await ask("tiny") == base
        assert await ask(str(tiny.folder)) == base
        assert await ask(model.model_id) == expected

        async def context_is_known() -> bool:
            return (await house.models())["fox"].max_tokens == tiny.model.config.max_position_embeddings

        await soon(context_is_known)
        models = await house.models()
        assert models["fox"].status == models[model.model_id].status == models["tiny"].status == "active"
