"""What the tests of the local engine ask it, over HTTP, and how they wait for it."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import aiohttp

from .conftest import Served

QUESTION = "what does the fox do"


async def ask(served: Served, model: str = "tiny", question: str = QUESTION, **parameters: object) -> str:
    """The greedy answer, not streamed."""
    completion = await served.client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": question}],
        **{"temperature": 0, "max_tokens": 24} | parameters,
    )
    return completion.choices[0].message.content or ""


async def load(served: Served, name: str, folder: Path | str, **fields: object) -> tuple[int, str]:
    async with aiohttp.ClientSession(served.url) as session:
        body = {"lora_name": name, "lora_path": str(folder), **fields}
        async with session.post("/v1/load_lora_adapter", json=body) as response:
            return response.status, await response.text()


async def unload(served: Served, name: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession(served.url) as session,
        session.post("/v1/unload_lora_adapter", json={"lora_name": name}) as response,
    ):
        return response.status, await response.text()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(2):
        while not condition():  # noqa: ASYNC110 - plain counters, which nothing announces
            await asyncio.sleep(0.001)
