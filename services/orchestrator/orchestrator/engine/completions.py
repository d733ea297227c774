"""Asks the router for completions on behalf of tasks, actions and workflows."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from common.bus import Bus
from common.context import Call, Principal, calling
from contracts import router
from contracts.base import BrokenOff
from contracts.router import DEFAULT_MODEL, Chat, ChatDelta, ChatMessage, ChatReply, TextCompletion

ROUTE = "task"
"""The route that interactions of tasks are recorded under."""


def chat(messages: list[ChatMessage]) -> Chat:
    """A question to the configured model."""
    return Chat(model=DEFAULT_MODEL, messages=messages, route=ROUTE)


async def complete_stoppably(
    bus: Bus, question: Chat | TextCompletion, call: Call, heard: Callable[[], None] = lambda: None
) -> ChatReply:
    """The reply, asked for on behalf of `call`. Cancelling stops the engine; a router that dies is noticed in seconds.

    `heard` is called for each piece of the reply as it comes. Raises the router's `Refused`.
    """
    with calling(call):
        async with aclosing(_asked(bus, question)) as items:
            async for item in items:
                if isinstance(item, ChatReply):
                    return item
                heard()
    raise BrokenOff("The answer broke off")


def _asked(bus: Bus, question: Chat | TextCompletion) -> AsyncGenerator[ChatDelta | ChatReply, None]:
    if isinstance(question, Chat):
        return bus.stream(router.CHAT_STREAM, question)
    return bus.stream(router.TEXT_STREAM, question)


async def complete_once(bus: Bus, question: Chat, *, principal: dict[str, Any] | None, key: str, timeout: float) -> str:
    """The text of the reply, within `timeout` seconds. Asked again under the same `key`, the router may answer with
    what it answered before instead of making and charging it again. Raises the router's `Refused`."""
    on_behalf = Principal.model_validate(principal) if principal is not None else None
    with calling(Call(principal=on_behalf, idempotency_key=key)):
        reply = await bus.ask(router.CHAT_COMPLETE, question, timeout=timeout)
    return reply.content
