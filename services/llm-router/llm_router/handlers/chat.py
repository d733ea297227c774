"""Completions of chats and texts, whole and streamed; embeddings; and document B's test."""

from collections.abc import AsyncIterator

from common.context import current
from contracts.router import (
    CHAT_COMPLETE,
    CHAT_STREAM,
    DEFAULT_MODEL,
    EMBED,
    TEST_PROMPT,
    TEST_STREAM,
    TEXT_COMPLETE,
    TEXT_STREAM,
    Chat,
    ChatMessage,
    ChatReply,
    Embed,
    Embeddings,
    TestPrompt,
    TestResult,
    TextCompletion,
)
from llm_router.domain.engines import Question
from llm_router.domain.instances import configured
from llm_router.engine.protocol import Pieces
from llm_router.handlers import once
from llm_router.handlers.deps import HANDLERS, Deps


@HANDLERS.on(CHAT_COMPLETE)
async def complete(deps: Deps, chat: Chat) -> ChatReply:
    return await _complete(deps, chat)


@HANDLERS.on_stream(CHAT_STREAM)
def stream(deps: Deps, chat: Chat) -> AsyncIterator[Pieces | ChatReply]:
    return _stream(deps, chat)


@HANDLERS.on(TEXT_COMPLETE)
async def complete_text(deps: Deps, text: TextCompletion) -> ChatReply:
    return await _complete(deps, text)


@HANDLERS.on_stream(TEXT_STREAM)
def stream_text(deps: Deps, text: TextCompletion) -> AsyncIterator[Pieces | ChatReply]:
    return _stream(deps, text)


@HANDLERS.on(EMBED)
async def embed(deps: Deps, asked: Embed) -> Embeddings:
    return await deps.completions.embed(asked)


@HANDLERS.on(TEST_PROMPT)
async def test_prompt(deps: Deps, request: TestPrompt) -> TestResult:
    reply = await _complete(deps, _tested(request))
    return TestResult(result=reply.content, model=reply.model, duration=reply.seconds)


@HANDLERS.on_stream(TEST_STREAM)
def stream_test(deps: Deps, request: TestPrompt) -> AsyncIterator[Pieces | ChatReply]:
    return _stream(deps, _tested(request))


def _tested(request: TestPrompt) -> Chat:
    content = f"{request.prompt}\n\n{request.input}" if request.input else request.prompt
    return Chat(
        model=request.model_name or DEFAULT_MODEL,
        messages=[ChatMessage(role="user", content=content)],
        temperature=request.temperature,
        max_tokens=request.max_tokens,
        route="test",
    )


async def _complete(deps: Deps, question: Question) -> ChatReply:
    key = current().idempotency_key
    question = configured(question, deps.models.configs)
    return await (deps.completions.complete(question) if key is None else once.complete(deps, question, key))


def _stream(deps: Deps, question: Question) -> AsyncIterator[Pieces | ChatReply]:
    key = current().idempotency_key
    question = configured(question, deps.models.configs)
    return deps.completions.stream(question) if key is None else once.stream(deps, question, key)
