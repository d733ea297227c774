"""Asks the router for completions on behalf of tasks, actions and workflows."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import UTC, datetime

from common.bus import Bus
from common.context import Call, Principal, calling
from contracts import router
from contracts.base import BrokenOff, RefusalCode, Refused
from contracts.router import DEFAULT_MODEL, Chat, ChatDelta, ChatMessage, ChatReply, TextCompletion
from orchestrator.domain.records import Claim

_MARGIN = 0.5
"""Seconds before a step's deadline at which it gives up, so that it can say why."""
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


async def complete_for_step(
    bus: Bus,
    question: Chat | TextCompletion,
    claim: Claim,
    key: str,
    *,
    asked: str = "The llm-router",
    heard: Callable[[], None] = lambda: None,
) -> ChatReply:
    """As `complete_stoppably`, on behalf of whoever started the run and before the step's deadline.

    Asked again under the same `key` of the run, the router tells again what it told before. Raises the router's
    `Refused`; TIMEOUT names who was `asked`.
    """
    principal = claim.options["principal"]
    call = Call(
        principal=None if principal is None else Principal.model_validate(principal),
        idempotency_key=f"{claim.run_id}/{key}",
    )
    left = (claim.deadline - datetime.now(UTC)).total_seconds()
    try:
        async with asyncio.timeout(max(left - _MARGIN, _MARGIN)):
            return await complete_stoppably(bus, question, call, heard)
    except TimeoutError:
        raise Refused(RefusalCode.TIMEOUT, f"{asked} did not answer in time") from None
