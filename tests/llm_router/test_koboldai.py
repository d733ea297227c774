"""A KoboldAI server behind the router, as callers see it."""

from contextlib import aclosing

import pytest

from contracts.base import RefusalCode, Refused
from contracts.router import CHAT_COMPLETE, CHAT_STREAM, Chat, ChatDelta, ChatMessage, ChatReply
from llm_router.domain.engines import DeclaredEngine
from tests.llm_router.conftest import House, Open, chat, soon, until
from tests.llm_router.kobold import Kobold, kobold_running

MODEL = "koboldcpp/tiny"


async def house_on(open_house: Open, server: Kobold, **options: object) -> House:
    engine = DeclaredEngine(name="kobold", provider_type="koboldai", api_base=server.url + "/api")
    return await open_house(0, declared=[engine], **options)


def conversation(**fields: object) -> Chat:
    messages = [
        ChatMessage(role="system", content="You are brief."),
        ChatMessage(role="user", content="Hello"),
        ChatMessage(role="assistant", content="Hi"),
        ChatMessage(role="user", content=[{"type": "text", "text": "And now?"}]),
    ]
    return Chat.model_validate({"model": MODEL, "messages": messages, **fields})


async def test_its_model_is_listed_with_its_context(open_house: Open) -> None:
    async with kobold_running() as server:
        house = await house_on(open_house, server)
        listed = (await house.models())[MODEL]
        assert (listed.provider, listed.max_tokens, listed.status) == ("koboldai", 100, "active")


async def test_a_conversation_becomes_an_instruct_prompt(open_house: Open) -> None:
    async with kobold_running() as server:
        house = await house_on(open_house, server)
        reply = await house.bus.ask(CHAT_COMPLETE, conversation(temperature=0.5, max_tokens=7, seed=3, stop=["END"]))
        asked = server.asked[0]
        assert asked["prompt"] == (
            "You are brief.\n\n### Instruction:\nHello\n### Response:\nHi\n### Instruction:\nAnd now?\n### Response:\n"
        )
        assert (asked["max_length"], asked["temperature"], asked["sampler_seed"]) == (7, 0.5, 3)
        assert asked["max_context_length"] == 100
        assert asked["stop_sequence"] == ["END", "\n### Instruction:", "\n### Response:"]
        assert (reply.content, reply.finish_reason, reply.engine) == ("One two three", "stop", "kobold")
        assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (15, 3)


async def test_a_stream_brings_every_piece_and_then_the_whole(open_house: Open) -> None:
    async with kobold_running() as server:
        house = await house_on(open_house, server)
        *pieces, reply = await house.stream(MODEL)
        assert [piece["content"] for piece in pieces if not isinstance(piece, ChatReply)] == ["One", " two", " three"]
        assert isinstance(reply, ChatReply)
        assert (reply.content, reply.usage.completion_tokens) == ("One two three", 3)


async def test_what_follows_a_stop_is_never_seen_however_it_arrives(open_house: Open) -> None:
    async with kobold_running(tokens=["Yes", ".\n### In", "struction:", "\nMore"]) as server:
        house = await house_on(open_house, server)
        *pieces, reply = await house.stream(MODEL)
        assert "".join(piece["content"] for piece in pieces if not isinstance(piece, ChatReply)) == "Yes."
        assert isinstance(reply, ChatReply)
        assert reply.content == (await house.ask(MODEL)).content == "Yes."


async def test_a_caller_who_leaves_aborts_the_generation(open_house: Open) -> None:
    async with kobold_running(hangs=True) as server:
        house = await house_on(open_house, server)
        async with aclosing(house.bus.stream(CHAT_STREAM, chat(MODEL, "Hello"))) as items:
            assert await anext(items) == ChatDelta(content="One")
        await until(server.abort.is_set)
        assert server.aborted == [server.asked[0]["genkey"]]


async def test_a_deadline_aborts_the_generation(open_house: Open) -> None:
    async with kobold_running(hangs=True) as server:
        house = await house_on(open_house, server)
        refusal = await house.refusal(MODEL, timeout=1.0)
        assert refusal.code is RefusalCode.TIMEOUT

        async def is_aborted() -> bool:
            return server.aborted == [server.asked[0]["genkey"]]

        await soon(is_aborted)


async def test_a_server_that_is_busy_is_asked_again(open_house: Open) -> None:
    async with kobold_running(busy=1) as server:
        house = await house_on(open_house, server)
        assert (await house.ask(MODEL)).content == "One two three"
        assert len(server.asked) == 2


async def test_a_stream_without_a_reason_broke_off(open_house: Open) -> None:
    async with kobold_running(says_why=False) as server:
        house = await house_on(open_house, server)
        with pytest.raises(Refused) as caught:
            await house.stream(MODEL)
        assert caught.value.metadata["type"] == "connection"


async def test_a_prompt_that_is_too_long_is_refused_instead_of_cut(open_house: Open) -> None:
    async with kobold_running() as server:
        house = await house_on(open_house, server)
        with pytest.raises(Refused) as caught:
            await house.ask(MODEL, "word " * 120)
        assert caught.value.metadata["type"] == "context_length_exceeded"
        assert not server.asked
        # One that leaves less room than usual gets what there is.
        await house.ask(MODEL, "word " * 60)
        assert 0 < server.asked[0]["max_length"] < 40


async def test_a_server_that_only_knows_the_old_calls_is_enough(open_house: Open) -> None:
    async with kobold_running(counts=False) as server:
        house = await house_on(open_house, server)
        reply = await house.ask(MODEL, "word " * 120)
        assert reply.content == "One two three"
        assert "max_context_length" not in server.asked[0]


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 2},
        {"extra": {"tools": [{"type": "function"}]}},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        {"messages": [{"role": "tool", "content": "1", "tool_call_id": "a"}]},
    ],
)
async def test_what_it_cannot_do_is_refused_not_ignored(open_house: Open, fields: dict[str, object]) -> None:
    async with kobold_running() as server:
        house = await house_on(open_house, server)
        with pytest.raises(Refused) as caught:
            await house.bus.ask(CHAT_COMPLETE, conversation(**fields))
        assert caught.value.metadata["type"] == "invalid_request"
        assert not server.asked


async def test_a_server_without_a_model_serves_none(open_house: Open) -> None:
    async with kobold_running(model="inactive") as server:
        house = await house_on(open_house, server)
        assert await house.models() == {}
        assert (await house.engines())["kobold"].status == "available"
