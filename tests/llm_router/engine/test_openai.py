"""The client of an engine, against real HTTP and real faults."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from aiohttp import web
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from contracts.router import Chat, ChatDelta, ChatMessage
from llm_router.domain.engines import Answer, EngineSpec
from llm_router.domain.failures import EngineFailure, FailureKind
from llm_router.engine.openai import OpenAIEngine
from llm_router.engine.protocol import Timeouts
from tests.llm_router import upstream as faults
from tests.llm_router.conftest import until
from tests.llm_router.upstream import WORDS, Upstream, frame, running

CHAT = Chat(model="asked", messages=[ChatMessage(role="user", content="Hello")])
TIMEOUTS = Timeouts(connect=5.0, silence=0.5, check=5.0, load=5.0)


def connect(upstream: Upstream, *, token: str | None = None, guarded: bool = False) -> OpenAIEngine:
    spec = EngineSpec(1, "e", "openai", upstream.url, token=token, guarded=guarded)
    return OpenAIEngine(spec, TIMEOUTS)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with running() as upstream:
        yield upstream


@pytest.fixture
async def engine(upstream: Upstream) -> AsyncIterator[OpenAIEngine]:
    engine = connect(upstream)
    yield engine
    await engine.close()


async def streamed(engine: OpenAIEngine) -> list[ChatDelta | Answer]:
    return [
        item async for items in engine.stream(CHAT, "m") for item in (items if isinstance(items, list) else [items])
    ]


async def failure_of_stream(engine: OpenAIEngine) -> tuple[list[ChatDelta | Answer], EngineFailure]:
    """What came before the stream failed, and the failure."""
    items: list[ChatDelta | Answer] = []
    with pytest.raises(EngineFailure) as caught:
        async for some in engine.stream(CHAT, "m"):
            items += some if isinstance(some, list) else [some]
    return items, caught.value


async def test_an_answer_comes_whole(engine: OpenAIEngine, upstream: Upstream) -> None:
    answer = await engine.complete(CHAT, "m")
    assert answer.content == "One two three"
    assert answer.usage.total_tokens == 8
    assert upstream.requests[0]["model"] == "m"


async def test_an_answer_comes_in_pieces_and_then_whole(engine: OpenAIEngine) -> None:
    *pieces, answer = await streamed(engine)
    assert pieces == [ChatDelta(content=word) for word in WORDS]
    assert isinstance(answer, Answer)
    assert answer.content == "One two three"
    assert answer.finish_reason == "stop"
    assert answer.usage.total_tokens == 8


async def test_a_connection_is_used_again(engine: OpenAIEngine, upstream: Upstream) -> None:
    peers: set[object] = set()

    async def remember(_upstream: Upstream, request: web.Request, _body: faults.Json) -> None:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))

    upstream.faults.extend([remember] * 4)
    await engine.complete(CHAT, "m")
    await streamed(engine)
    await streamed(engine)
    await engine.complete(CHAT, "m")
    assert len(peers) == 1


async def test_the_token_is_sent_and_cookies_are_not_kept(upstream: Upstream) -> None:
    engine = connect(upstream, token="sk-1")
    await engine.complete(CHAT, "m")
    assert upstream.headers[0]["Authorization"] == "Bearer sk-1"
    await engine.close()


async def test_the_trace_goes_on_in_the_engine(engine: OpenAIEngine, upstream: Upstream) -> None:
    with TracerProvider().get_tracer("test").start_as_current_span("chat m") as span:
        await engine.complete(CHAT, "m")
    assert trace.format_trace_id(span.get_span_context().trace_id) in upstream.headers[0]["traceparent"]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.status(503, retry_after="4"), FailureKind.OVERLOADED),
        (faults.status(429), FailureKind.RATE_LIMITED),
        (faults.status(500), FailureKind.ENGINE_ERROR),
        (faults.status(400, "bad"), FailureKind.INVALID_REQUEST),
        (faults.status(404, "no model", "model_not_found"), FailureKind.MODEL_NOT_FOUND),
        (faults.body_of(b"<html>"), FailureKind.INVALID_ANSWER),
        (faults.drop, FailureKind.CONNECTION),
    ],
)
async def test_a_fault_is_told_by_its_kind_streamed_or_not(
    engine: OpenAIEngine, upstream: Upstream, fault: faults.Fault, kind: FailureKind
) -> None:
    upstream.faults.append(fault)
    with pytest.raises(EngineFailure) as caught:
        await engine.complete(CHAT, "m")
    assert caught.value.kind is kind
    upstream.faults.append(fault)
    items, failure = await failure_of_stream(engine)
    assert items == []
    # An HTML page is no stream at all: it ends without an end.
    assert failure.kind in (kind, FailureKind.CONNECTION)


async def test_the_wish_of_a_busy_engine_is_heard(engine: OpenAIEngine, upstream: Upstream) -> None:
    upstream.faults.append(faults.status(503, retry_after="4"))
    with pytest.raises(EngineFailure) as caught:
        await engine.complete(CHAT, "m")
    assert caught.value.retry_after == 4.0


@pytest.mark.parametrize(
    "fault",
    [
        faults.cut_after(frame({"content": "One"})),
        faults.raw_stream(frame({"content": "One"})),
        faults.cut_after(frame({"content": "One"}), frame({"content": "Two"})[:20]),
        faults.raw_stream(frame({"content": "One"}), b'data: {"error":{"message":"boom"}}\n\n'),
        faults.raw_stream(frame({"content": "One"}), b"data: not json\n\n"),
        faults.hang_after_a_word,
    ],
    ids=["cut", "no end", "cut in a frame", "error event", "garbage", "silence"],
)
async def test_a_broken_stream_never_looks_finished(
    engine: OpenAIEngine, upstream: Upstream, fault: faults.Fault
) -> None:
    upstream.faults.append(fault)
    items, _ = await failure_of_stream(engine)
    assert items == [ChatDelta(content="One")]


async def test_an_engine_may_think_of_its_first_token_for_longer_than_it_may_be_silent_later(
    engine: OpenAIEngine, upstream: Upstream
) -> None:
    async def think(_upstream: Upstream, request: web.Request, _body: faults.Json) -> web.StreamResponse:
        response = await faults.open_stream(request)
        await asyncio.sleep(2 * TIMEOUTS.silence)
        await response.write(frame({"content": "One"}, "stop") + b"data: [DONE]\n\n")
        return response

    upstream.faults.append(think)
    assert (await streamed(engine))[0] == ChatDelta(content="One")


async def test_an_end_without_done_is_an_end_if_the_engine_said_why(engine: OpenAIEngine, upstream: Upstream) -> None:
    upstream.faults.append(faults.raw_stream(frame({"content": "One"}), frame({}, "stop")))
    assert (await streamed(engine))[-1].content == "One"


async def test_what_follows_done_is_not_waited_for(engine: OpenAIEngine, upstream: Upstream) -> None:
    async def linger(upstream: Upstream, request: web.Request, _body: faults.Json) -> web.StreamResponse:
        response = await faults.open_stream(request)
        await response.write(frame({"content": "One"}, "stop") + b"data: [DONE]\n\n")
        await upstream.let_go.wait()
        return response

    upstream.faults.append(linger)
    async with asyncio.timeout(20):
        assert isinstance((await streamed(engine))[-1], Answer)


async def test_a_caller_who_leaves_a_stream_stops_the_engine_at_once(engine: OpenAIEngine, upstream: Upstream) -> None:
    upstream.faults.append(faults.hang_after_a_word)
    async with aclosing(engine.stream(CHAT, "m")) as items:
        assert await anext(items) == [ChatDelta(content="One")]
    await until(upstream.left.is_set)


async def test_a_caller_who_leaves_an_answer_stops_the_engine_at_once(engine: OpenAIEngine, upstream: Upstream) -> None:
    upstream.faults.append(faults.hang)
    asking = asyncio.create_task(engine.complete(CHAT, "m"))
    await upstream.reached.wait()
    asking.cancel()
    await until(upstream.left.is_set)


async def test_an_engine_that_is_not_there_is_told_as_such(engine: OpenAIEngine, upstream: Upstream) -> None:
    await upstream.stop()
    with pytest.raises(EngineFailure) as caught:
        await engine.complete(CHAT, "m")
    assert caught.value.kind is FailureKind.CONNECTION


async def test_a_redirect_is_not_followed(engine: OpenAIEngine, upstream: Upstream) -> None:
    async def redirect(upstream: Upstream, _request: web.Request, _body: faults.Json) -> web.Response:
        return web.Response(status=307, headers={"Location": f"{upstream.url}/models"})

    upstream.faults.append(redirect)
    with pytest.raises(EngineFailure) as caught:
        await engine.complete(CHAT, "m")
    assert caught.value.kind is FailureKind.INVALID_ANSWER


async def test_a_guarded_engine_is_not_reached_by_a_name_of_this_network() -> None:
    async with running() as upstream:
        upstream.url = upstream.url.replace("127.0.0.1", "localhost")
        engine = connect(upstream, guarded=True)
        with pytest.raises(EngineFailure) as caught:
            await engine.models()
        assert caught.value.kind is FailureKind.CONNECTION
        await engine.close()


async def test_models_are_listed(engine: OpenAIEngine) -> None:
    assert [(card.name, card.max_tokens) for card in await engine.models()] == [("m", 2048)]


class TestAdapters:
    async def test_an_adapter_is_loaded_once_and_forgotten_once(self, engine: OpenAIEngine, upstream: Upstream) -> None:
        for _ in range(2):
            await engine.load_adapter("a", Path("/adapters/a"), "m")
        assert upstream.loads[0] == {"lora_name": "a", "lora_path": "/adapters/a", "base_model_name": "m"}
        assert [card.name for card in await engine.models()] == ["m", "a"]
        for _ in range(2):
            await engine.unload_adapter("a")
        assert [card.name for card in await engine.models()] == ["m"]

    async def test_an_adapter_that_does_not_fit_is_a_failure_to_load(
        self, engine: OpenAIEngine, upstream: Upstream
    ) -> None:
        upstream.load_answers.append((400, "rank too high"))
        with pytest.raises(EngineFailure, match="rank too high") as caught:
            await engine.load_adapter("a", Path("/adapters/a"), "m")
        assert caught.value.kind is FailureKind.MODEL_LOAD
        assert caught.value.metadata["temporary"] is False

    async def test_a_busy_engine_may_load_it_later(self, engine: OpenAIEngine, upstream: Upstream) -> None:
        upstream.load_answers.append((503, "busy"))
        with pytest.raises(EngineFailure) as caught:
            await engine.load_adapter("a", Path("/adapters/a"), "m")
        assert caught.value.kind is FailureKind.OVERLOADED
