"""A router that answers what a test says, and remembers what it was asked and on whose behalf."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from common.bus import Handlers
from common.context import Call, current
from contracts import router
from contracts.base import Empty
from contracts.router import Chat, ChatDelta, ChatReply, ServedModel, ServedModels, TextCompletion, Usage

_MOMENT = datetime(2026, 1, 2, tzinfo=UTC)

Answer = Callable[[str], Awaitable[str]]
"""From what the user says to the text of the answer. Raises `Refused`."""


async def echo(content: str) -> str:
    """The last line of what was asked, which is the instruction where there is one."""
    return f"<{content.splitlines()[-1]}>"


@dataclass
class Router:
    """`stopped` counts streams that their caller closed. `texts` are the prompts that it was to go on with."""

    answer: Answer = echo
    asked: list[tuple[Chat, Call]] = field(default_factory=list)
    stopped: int = 0
    texts: list[TextCompletion] = field(default_factory=list)

    async def reply(self, question: Chat | TextCompletion) -> ChatReply:
        if isinstance(question, Chat):
            self.asked.append((question, current()))
            content = str(question.messages[-1].content)
        else:
            self.texts.append(question)
            content = str(question.prompt)
        return ChatReply(
            id="chatcmpl-1",
            model="m",
            created=1_700_000_000,
            content=await self.answer(content),
            finish_reason="stop",
            usage=Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5),
            engine="local",
            simulated=False,
            seconds=0.1,
        )

    @property
    def contents(self) -> list[str]:
        """What the user said, each time."""
        return [str(chat.messages[-1].content) for chat, _ in self.asked]


ANSWERS = Handlers[Router]()


@ANSWERS.on(router.CHAT_COMPLETE)
async def complete(known: Router, chat: Chat) -> ChatReply:
    return await known.reply(chat)


@ANSWERS.on(router.LIST_SERVED_MODELS)
async def list_served_models(known: Router, _: Empty) -> ServedModels:
    return ServedModels(models=[_served(1, "small", "active"), _served(2, "gone", "unavailable")])


def _served(number: int, name: str, status: Literal["active", "unavailable"]) -> ServedModel:
    return ServedModel(
        id=number,
        name=name,
        provider="local",
        max_tokens=100,
        status=status,
        engine="local",
        created_at=_MOMENT,
        updated_at=_MOMENT,
    )


@ANSWERS.on_stream(router.CHAT_STREAM)
async def stream(known: Router, chat: Chat) -> AsyncIterator[ChatDelta | ChatReply]:
    async for item in _streamed(known, chat):
        yield item


@ANSWERS.on_stream(router.TEXT_STREAM)
async def stream_text(known: Router, text: TextCompletion) -> AsyncIterator[ChatDelta | ChatReply]:
    async for item in _streamed(known, text):
        yield item


async def _streamed(known: Router, question: Chat | TextCompletion) -> AsyncIterator[ChatDelta | ChatReply]:
    try:
        reply = await known.reply(question)
    except asyncio.CancelledError:
        known.stopped += 1
        raise
    yield ChatDelta(content=reply.content)
    yield reply
