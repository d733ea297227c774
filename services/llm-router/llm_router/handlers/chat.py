"""Completions: whole, streamed, and document B's test."""

from collections.abc import AsyncIterator

from contracts.router import (
    CHAT_COMPLETE,
    CHAT_STREAM,
    DEFAULT_MODEL,
    TEST_PROMPT,
    Chat,
    ChatDelta,
    ChatMessage,
    ChatReply,
    TestPrompt,
    TestResult,
)
from llm_router.handlers.deps import HANDLERS, Deps


@HANDLERS.on(CHAT_COMPLETE)
async def complete(deps: Deps, chat: Chat) -> ChatReply:
    return await deps.completions.complete(chat)


@HANDLERS.on_stream(CHAT_STREAM)
def stream(deps: Deps, chat: Chat) -> AsyncIterator[ChatDelta | ChatReply]:
    return deps.completions.stream(chat)


@HANDLERS.on(TEST_PROMPT)
async def test_prompt(deps: Deps, request: TestPrompt) -> TestResult:
    content = f"{request.prompt}\n\n{request.input}" if request.input else request.prompt
    reply = await deps.completions.complete(
        Chat(
            model=request.model_name or DEFAULT_MODEL,
            messages=[ChatMessage(role="user", content=content)],
            temperature=request.temperature,
            max_tokens=request.max_tokens,
            route="test",
        )
    )
    return TestResult(result=reply.content, model=reply.model, duration=reply.seconds)
