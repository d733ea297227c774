"""Asks the orchestrator about prompts and actions as the gateway does."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from common.bus import Bus
from contracts.actions import CREATE_ACTION, EXECUTE_ACTION, Action, ActionRun, CreateAction, ExecuteAction, RunEntered
from contracts.base import ChunkT, FinalT, RefusalCode, Refused, RequestT, Stream
from contracts.prompts import CREATE_PROMPT, CreatePrompt, Prompt


async def final(bus: Bus, stream: Stream[RequestT, ChunkT, FinalT], request: RequestT) -> FinalT:
    """What a stream ends with."""
    async for item in bus.stream(stream, request):
        if isinstance(item, stream.final):
            return item
    raise AssertionError("a stream ends with its final message")


async def new_prompt(bus: Bus, content: str, name: str | None = None) -> Prompt:
    name = name or f"prompt {secrets.token_hex(4)}"
    return await bus.ask(CREATE_PROMPT, CreatePrompt(name=name, content=content))


async def new_action(bus: Bus, content: str = "Summarise: {seed}", **fields: Any) -> Action:
    """An action on a prompt of its own."""
    if "prompt_template_id" not in fields:
        fields["prompt_template_id"] = (await new_prompt(bus, content)).id
    return await bus.ask(CREATE_ACTION, CreateAction(**({"field_name": "summary", "llm_model": "small"} | fields)))


async def execute(bus: Bus, action_id: int, **input_data: Any) -> ActionRun:
    return await final(bus, EXECUTE_ACTION, ExecuteAction(action_id=action_id, input_data=input_data))


@asynccontextmanager
async def entered(bus: Bus, action_id: int, **input_data: Any) -> AsyncIterator[tuple[int, "asyncio.Task[ActionRun]"]]:
    """The id of a run as soon as it is entered, and the task of whoever waits for its end."""
    first: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def wait() -> ActionRun:
        async for item in bus.stream(EXECUTE_ACTION, ExecuteAction(action_id=action_id, input_data=input_data)):
            if isinstance(item, RunEntered):
                first.set_result(item.run_id)
            else:
                return item
        raise AssertionError("a stream ends with its final message")

    waiting = asyncio.create_task(wait())
    try:
        yield await asyncio.wait_for(first, 10), waiting
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


@asynccontextmanager
async def refused(code: RefusalCode) -> AsyncIterator[Refused]:
    """Expects a refusal, which can be looked at after the block."""
    seen = Refused(code, "")
    with pytest.raises(Refused) as raised:
        yield seen
    seen.code, seen.message, seen.metadata = raised.value.code, raised.value.message, raised.value.metadata
    assert seen.code is code, seen.message
