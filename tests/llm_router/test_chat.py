"""Completions as callers see them over the bus."""

import asyncio
import uuid
from contextlib import aclosing

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from contracts.base import RefusalCode, Refused
from contracts.router import (
    CHAT_COMPLETE,
    CHAT_STREAM,
    DEFAULT_MODEL,
    TEST_PROMPT,
    TEST_STREAM,
    Chat,
    ChatDelta,
    ChatMessage,
    ChatReply,
)
from contracts.router import TestPrompt as PromptToTest
from tests.llm_router import upstream as faults
from tests.llm_router.conftest import PATIENCE, Open, as_role, chat, soon, until
from tests.llm_router.upstream import frame


def unique() -> str:
    return f"Hello {uuid.uuid4().hex}"


class TestAnswers:
    async def test_a_completion_is_answered_by_the_engine_that_serves_the_model(self, open_house: Open) -> None:
        house = await open_house()
        reply = await house.ask("m")
        assert (reply.model, reply.content, reply.engine) == ("m", "One two three", "e0")
        assert reply.finish_reason == "stop"
        assert reply.usage.total_tokens == 8
        assert not reply.simulated
        assert 0 < reply.seconds < 5

    async def test_a_stream_brings_every_piece_and_then_the_whole(self, open_house: Open) -> None:
        house = await open_house()
        *pieces, reply = await house.stream("m")
        assert [piece["content"] for piece in pieces if not isinstance(piece, ChatReply)] == ["One", " two", " three"]
        assert isinstance(reply, ChatReply)
        assert reply.content == "One two three"
        assert reply.usage.completion_tokens == 3
        assert reply.time_to_first_token is not None
        assert reply.time_to_first_token <= reply.seconds + 0.1

    async def test_a_simulated_engine_says_that_it_is_one(self, open_house: Open) -> None:
        house = await open_house(provider="simulated")
        assert (await house.ask("m")).simulated

    async def test_an_unknown_model_is_answered_with_what_there_is(self, open_house: Open) -> None:
        house = await open_house()
        refusal = await house.refusal("gpt-9")
        assert refusal.code is RefusalCode.NOT_FOUND
        assert refusal.message == "No engine serves a model 'gpt-9'. Available: m"
        assert refusal.metadata["type"] == "model_not_found"
        assert refusal.metadata["available"] == ["m"]

    async def test_a_model_that_an_engine_has_just_got_is_found(self, open_house: Open) -> None:
        house = await open_house(engine_check_interval=60)
        house.upstreams[0].models.append({"id": "fresh"})
        await asyncio.sleep(1)
        assert (await house.ask("fresh")).model == "fresh"

    async def test_the_default_model_answers_who_names_none(self, open_house: Open) -> None:
        house = await open_house(provider="simulated")
        assert (await house.ask(DEFAULT_MODEL)).model == "m"

    async def test_an_engine_that_makes_fewer_choices_than_asked_is_told_of(self, open_house: Open) -> None:
        house = await open_house()
        request = Chat(model="m", messages=[ChatMessage(role="user", content="Hello")], n=2)
        with pytest.raises(Refused, match="made 1 of the 2 choices") as caught:
            await house.bus.ask(CHAT_COMPLETE, request)
        assert caught.value.code is RefusalCode.INVALID
        assert house.upstreams[0].requests[0]["n"] == 2

    async def test_a_request_that_the_engine_refuses_is_the_callers_mistake(self, open_house: Open) -> None:
        house = await open_house()
        house.upstreams[0].faults.append(faults.status(400, "temperature is odd"))
        refusal = await house.refusal()
        assert refusal.code is RefusalCode.INVALID
        assert "temperature is odd" in refusal.message
        assert refusal.metadata["temporary"] is False
        assert len(house.upstreams[0].requests) == 1

    async def test_the_engine_goes_on_with_the_trace_of_the_caller(self, open_house: Open) -> None:
        house = await open_house()
        with TracerProvider().get_tracer("test").start_as_current_span("caller") as span:
            await house.ask()
        assert trace.format_trace_id(span.get_span_context().trace_id) in house.upstreams[0].headers[0]["traceparent"]


class TestTestPrompt:
    async def test_prompt_and_input_make_one_message(self, open_house: Open) -> None:
        house = await open_house(provider="simulated")
        result = await house.bus.ask(TEST_PROMPT, PromptToTest(prompt="Summarise", input="a text"))
        assert (result.result, result.model) == ("One two three", "m")
        assert result.duration > 0
        request = house.upstreams[0].requests[0]
        assert request["messages"] == [{"role": "user", "content": "Summarise\n\na text"}]
        assert (request["temperature"], request["max_tokens"]) == (0.7, 1000)

    async def test_without_an_input_the_prompt_stands_alone(self, open_house: Open) -> None:
        house = await open_house()
        await house.bus.ask(TEST_PROMPT, PromptToTest(prompt="Summarise", model_name="m"))
        assert house.upstreams[0].requests[0]["messages"][0]["content"] == "Summarise"

    async def test_it_streams_too(self, open_house: Open) -> None:
        house = await open_house()
        asked = PromptToTest(prompt="Summarise", input="a text", model_name="m")
        *pieces, reply = [item async for item in house.bus.stream(TEST_STREAM, asked)]
        assert [piece["content"] for piece in pieces if not isinstance(piece, ChatReply)] == ["One", " two", " three"]
        assert isinstance(reply, ChatReply)
        assert reply.content == "One two three"
        assert house.upstreams[0].requests[0]["messages"][0]["content"] == "Summarise\n\na text"


class TestFaults:
    @pytest.mark.parametrize("fault", [faults.status(503), faults.status(500), faults.drop])
    async def test_a_failed_attempt_is_made_again_on_another_engine(
        self, open_house: Open, fault: faults.Fault
    ) -> None:
        house = await open_house(2)
        for upstream in house.upstreams:
            upstream.faults.append(fault)
        first, second = await asyncio.gather(house.ask(), house.ask())
        assert first.content == second.content == "One two three"

    async def test_a_stream_is_tried_again_before_its_first_token(self, open_house: Open) -> None:
        house = await open_house()
        house.upstreams[0].faults.append(faults.raw_stream())
        assert len(await house.stream()) == 4
        assert len(house.upstreams[0].requests) == 2

    async def test_a_stream_is_never_tried_again_after_its_first_token(self, open_house: Open) -> None:
        house = await open_house()
        house.upstreams[0].faults.append(faults.cut_after(frame({"content": "One"})))
        seen: list[ChatDelta | ChatReply] = []
        with pytest.raises(Refused) as caught:
            async for item in house.bus.stream(CHAT_STREAM, chat("m", "Hello")):
                seen.append(item)  # noqa: PERF401 - what came before the failure is wanted
        assert seen == [ChatDelta(content="One")]
        assert caught.value.code is RefusalCode.ENGINE_UNAVAILABLE
        assert caught.value.metadata["type"] == "connection"
        assert caught.value.metadata["temporary"] is True
        assert caught.value.metadata["engine"] == "e0"
        assert len(house.upstreams[0].requests) == 1

    async def test_a_failure_that_stays_is_told_after_the_last_attempt(self, open_house: Open) -> None:
        house = await open_house()
        house.upstreams[0].faults.extend([faults.status(500, "no memory")] * 3)
        refusal = await house.refusal()
        assert refusal.code is RefusalCode.ENGINE_FAILED
        assert "no memory" in refusal.message
        assert len(house.upstreams[0].requests) == 3

    async def test_garbage_is_told_as_such(self, open_house: Open) -> None:
        house = await open_house()
        house.upstreams[0].faults.append(faults.body_of(b"<html>It works!</html>"))
        refusal = await house.refusal()
        assert refusal.code is RefusalCode.ENGINE_FAILED
        assert refusal.metadata["type"] == "invalid_answer"

    async def test_an_engine_that_hangs_is_answered_for_within_the_deadline(self, open_house: Open) -> None:
        house = await open_house()
        house.upstreams[0].faults.append(faults.hang)
        refusal = await house.refusal(timeout=1.0)
        assert refusal.code is RefusalCode.TIMEOUT
        await until(house.upstreams[0].left.is_set)
        assert (await house.recorded("Hello"))["error_type"] == "timeout"

    async def test_what_an_engine_that_freezes_has_not_answered_goes_to_another(self, open_house: Open) -> None:
        house = await open_house(2, engine_check_timeout=0.3)
        frozen, other = house.upstreams
        frozen.faults.extend([faults.hang] * 4)
        other.faults.extend([faults.hang] * 4)
        calls = [asyncio.create_task(house.ask() if n % 2 else house.last("m")) for n in range(4)]

        async def all_asked() -> bool:
            return len(frozen.requests) == len(other.requests) == 2

        await soon(all_asked)
        frozen.silent = True
        other.faults.clear()
        other.let_go.set()
        assert [(await call).engine for call in calls] == ["e1"] * 4
        await until(frozen.left.is_set)

    async def test_an_engine_that_freezes_alone_is_waited_for(self, open_house: Open) -> None:
        house = await open_house(engine_check_timeout=0.3)
        (frozen,) = house.upstreams
        frozen.faults.append(faults.hang)
        call = asyncio.create_task(house.ask())
        await frozen.reached.wait()
        frozen.silent = True

        async def is_down() -> bool:
            return (await house.engines())["e0"].status == "unavailable"

        await soon(is_down)
        frozen.let_go.set()
        assert (await call).engine == "e0"

    async def test_a_completion_survives_the_restart_of_its_engine(self, open_house: Open) -> None:
        house = await open_house(engine_patience=PATIENCE)
        upstream = house.upstreams[0]
        await upstream.stop()
        asking = asyncio.create_task(house.ask())

        async def is_down() -> bool:
            return (await house.engines())["e0"].status == "unavailable"

        await soon(is_down)
        await upstream.start(upstream.port)
        assert (await asking).content == "One two three"

    async def test_an_engine_that_stays_away_is_told_of(self, open_house: Open) -> None:
        house = await open_house(engine_patience=0.3)
        await house.upstreams[0].stop()
        refusal = await house.refusal()
        assert refusal.code is RefusalCode.ENGINE_UNAVAILABLE
        assert refusal.metadata["type"] == "connection"

    async def test_a_caller_who_leaves_stops_the_engine_at_once(self, open_house: Open) -> None:
        house = await open_house()
        house.upstreams[0].faults.append(faults.hang_after_a_word)
        stream = house.bus.stream(CHAT_STREAM, chat("m", "Hello"))
        async with aclosing(stream) as items:
            first = await anext(items)
            assert first == ChatDelta(content="One")
        await until(house.upstreams[0].left.is_set)

        async def is_free() -> bool:
            return (await house.engines())["e0"].outstanding == 0

        await soon(is_free)

    async def test_a_busy_model_does_not_hold_up_another(self, open_house: Open) -> None:
        house = await open_house(2)
        house.upstreams[1].models = [{"id": "n"}]
        await house.discovered("n")
        house.upstreams[0].faults.append(faults.hang)
        waiting = asyncio.create_task(house.ask("m"))
        await house.upstreams[0].reached.wait()
        assert (await house.ask("n")).engine == "e1"
        assert not waiting.done()
        house.upstreams[0].let_go.set()
        assert (await waiting).engine == "e0"


class TestRecording:
    async def test_every_completion_is_kept(self, open_house: Open) -> None:
        house = await open_house()
        content = unique()
        async with as_role("member"):
            await house.bus.ask(CHAT_COMPLETE, chat("m", content).model_copy(update={"temperature": 0.5}))
        row = await house.recorded(content)
        assert (row["model"], row["engine"], row["route"], row["status"]) == ("m", "e0", "chat", "completed")
        assert row["output_text"] == "One two three"
        assert (row["prompt_tokens"], row["completion_tokens"]) == (5, 3)
        assert row["parameters"] == {"temperature": 0.5}
        assert row["principal"] == "key_1"
        assert row["error_message"] is None
        assert row["duration"] > 0

    async def test_numbers_of_any_size_reach_the_engine_and_are_kept(self, open_house: Open) -> None:
        house, content, large = await open_house(provider="vllm"), unique(), 2**70
        schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"maximum": large}}}
        asked = chat("m", content).model_copy(update={"seed": large, "response_format": schema, "extra": {"x": large}})
        await house.bus.ask(CHAT_COMPLETE, asked)
        sent = house.upstreams[0].requests[0]
        assert (sent["seed"], sent["x"], sent["response_format"]["json_schema"]["schema"]["maximum"]) == (large,) * 3
        assert (await house.recorded(content))["parameters"]["seed"] == large

    async def test_a_failed_one_is_kept_with_its_error(self, open_house: Open) -> None:
        house = await open_house()
        house.upstreams[0].faults.append(faults.status(400, "odd"))
        content = unique()
        with pytest.raises(Refused):
            await house.ask("m", content)
        row = await house.recorded(content)
        assert row["status"] == "failed"
        assert "odd" in row["error_message"]

    async def test_one_for_an_unknown_model_is_kept_without_an_engine(self, open_house: Open) -> None:
        house = await open_house()
        content = unique()
        with pytest.raises(Refused):
            await house.ask("nothing", content)
        row = await house.recorded(content)
        assert (row["status"], row["engine"], row["model"]) == ("failed", None, "nothing")

    async def test_a_cancelled_stream_is_kept_with_what_there_was(self, open_house: Open) -> None:
        house = await open_house()
        house.upstreams[0].faults.append(faults.hang_after_a_word)
        content = unique()
        stream = house.bus.stream(CHAT_STREAM, chat("m", content))
        async with aclosing(stream) as items:
            await anext(items)
        row = await house.recorded(content)
        assert (row["status"], row["output_text"]) == ("cancelled", "One")

    async def test_a_broken_stream_is_kept_as_failed_with_what_there_was(self, open_house: Open) -> None:
        house = await open_house()
        house.upstreams[0].faults.append(faults.cut_after(frame({"content": "One"})))
        content = unique()
        with pytest.raises(Refused):
            await house.stream("m", content)
        row = await house.recorded(content)
        assert (row["status"], row["output_text"]) == ("failed", "One")

    async def test_as_many_are_kept_as_were_made(self, open_house: Open) -> None:
        house = await open_house(2, replicas=2)
        mark = unique()
        await asyncio.gather(*(house.ask("m", f"{mark} {i}") for i in range(200)))

        async def kept() -> bool:
            rows = await house.rows("SELECT count(*) AS n FROM interactions WHERE input_text LIKE $1", f"{mark}%")
            return bool(rows[0]["n"] == 200)

        await soon(kept)
        last_used = [engine.last_used for engine in (await house.engines()).values()]
        assert all(last_used)

    async def test_text_that_postgres_cannot_store_is_kept_all_the_same(self, open_house: Open) -> None:
        house = await open_house()
        mark = unique()
        await house.ask("m", f"{mark}\x00")
        row = await house.recorded(f"{mark}\ufffd")
        assert row["status"] == "completed"
