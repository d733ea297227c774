"""Callers who leave, and a gateway that dies with them: the engine stops, and what it did is recorded."""

import asyncio
from typing import Any

import aiohttp
import pytest

from embedded.platform import Platform
from tests.chaos.callers import Callers
from tests.chaos.conftest import Serve
from tests.llm_router import upstream as faults
from tests.llm_router.conftest import until
from tests.llm_router.upstream import Upstream

pytestmark = pytest.mark.e2e

ROUTES = ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/api/v1/llm/test"]


def body(route: str, model: str, content: str) -> dict[str, Any]:
    match route:
        case "/v1/chat/completions":
            return {"model": model, "messages": [{"role": "user", "content": content}]}
        case "/v1/completions":
            return {"model": model, "prompt": content}
        case "/v1/responses":
            return {"model": model, "input": content}
        case _:
            return {"model_name": model, "prompt": content}


@pytest.mark.parametrize("route", ROUTES)
async def test_an_engine_stops_when_its_caller_hangs_up(callers: Callers, serve: Serve, route: str) -> None:
    (engine,) = await serve()
    (model,) = engine.names()
    engine.faults.append(faults.hang)
    call = asyncio.create_task(callers.call("POST", route, json=body(route, model, "Hello")))
    await until(engine.reached.is_set)
    call.cancel()
    await until(engine.left.is_set)
    (kept,) = await callers.records(model)
    assert (kept["status"], kept["input_text"], kept["counted_by"]) == ("cancelled", "Hello", "length")


async def test_an_engine_stops_when_the_gateway_dies(platform: Platform, callers: Callers, serve: Serve) -> None:
    engines: list[Upstream] = [(await serve())[0] for _ in range(2)]
    engines[0].faults.append(faults.hang)
    engines[1].faults.append(faults.hang_after_a_word)
    whole = callers.begin(engines[0].names()[0])
    stream = callers.begin(engines[1].names()[0], stream=True)
    await until(engines[0].reached.is_set)
    await until(stream.begun.is_set)
    old = platform.kill("gateway")
    for call in (whole, stream):
        with pytest.raises(aiohttp.ClientError):
            await call.heard()
    for engine in engines:
        await until(engine.left.is_set)
    await asyncio.to_thread(platform.wait_restarted, "gateway", old)
    for engine in engines:
        (kept,) = await callers.records(engine.names()[0])
        assert kept["status"] == "cancelled"
