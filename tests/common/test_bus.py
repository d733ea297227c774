"""Questions, streams and events between two services on a real NATS server."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from common.bus import Bus, BusDown, Delivered, Forgotten, Handlers
from common.bus.frames import encode, encode_chunks
from common.bus.protocol import Message
from common.context import Call, Principal, calling, current
from common.settings import ServiceSettings
from common.tracing import tracer
from contracts import orchestrator, registry, router
from contracts.base import Empty, RefusalCode, Refused
from contracts.orchestrator import LogRecord
from contracts.router import Chat, ChatDelta, ChatMessage, ChatReply, Config, Usage
from contracts.topology import ORCHESTRATOR_LOGS

CONFIG = Config(provider_type="simulated", model_name="m", api_base="http://127.0.0.1:1")
CHAT = Chat(model="m", messages=[ChatMessage(role="user", content="Hello")])
FINAL = ChatReply(
    id="1",
    model="m",
    created=0,
    content="ab",
    finish_reason="stop",
    usage=Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3),
    engine="e",
    simulated=True,
    seconds=0.0,
)


class Seen:
    """What the handlers of a test saw."""

    def __init__(self) -> None:
        self.call: Call | None = None
        self.trace_id = 0
        self.released = asyncio.Event()
        self.started = asyncio.Event()
        self.failure: BaseException | None = None


def handlers() -> Handlers[Seen]:
    table = Handlers[Seen]()

    @table.on(router.GET_CONFIG)
    async def get_config(seen: Seen, request: Empty) -> Config:
        seen.call = current()
        seen.trace_id = trace.get_current_span().get_span_context().trace_id
        if seen.failure is not None:
            raise seen.failure
        return CONFIG

    @table.on(router.TEST_PROMPT)
    async def test_prompt(seen: Seen, request: router.TestPrompt) -> router.TestResult:
        seen.started.set()
        try:
            await asyncio.sleep(60 if request.prompt == "slow" else 0.2)
        finally:
            seen.released.set()
        return router.TestResult(result=request.prompt, model="m", duration=0.2)

    @table.on_stream(router.CHAT_STREAM)
    async def chat(seen: Seen, request: Chat) -> AsyncIterator[ChatDelta | ChatReply]:
        seen.started.set()
        try:
            yield ChatDelta(content="a")
            if request.model == "slow":
                await asyncio.sleep(60)
            if request.model == "broken":
                raise Refused(RefusalCode.ENGINE_FAILED, "The engine broke")
            yield ChatDelta(content="b")
            yield FINAL
        finally:
            seen.released.set()

    return table


@pytest.fixture
async def seen(answerer: Bus) -> Seen:
    seen = Seen()
    await answerer.serve(handlers(), seen)
    return seen


async def test_a_question_is_answered(asker: Bus, seen: Seen) -> None:
    assert await asker.ask(router.GET_CONFIG, Empty()) == CONFIG


async def test_many_questions_are_handled_at_once(asker: Bus, seen: Seen) -> None:
    started = time.monotonic()
    prompts = [router.TestPrompt(prompt=str(i)) for i in range(20)]
    results = await asyncio.gather(*(asker.ask(router.TEST_PROMPT, prompt) for prompt in prompts))
    assert [result.result for result in results] == [str(i) for i in range(20)]
    assert time.monotonic() - started < 20 * 0.2


async def test_a_declared_refusal_arrives_with_its_details(asker: Bus, seen: Seen) -> None:
    seen.failure = Refused(RefusalCode.INVALID, "No", {"errors": [{"field": "a", "message": "b"}]})
    with pytest.raises(Refused, match="No") as refused:
        await asker.ask(router.GET_CONFIG, Empty())
    assert (refused.value.code, refused.value.metadata) == (
        RefusalCode.INVALID,
        {"errors": [{"field": "a", "message": "b"}]},
    )


@pytest.mark.parametrize(
    "failure",
    [KeyError("secret"), Refused(RefusalCode.DATASET_INVALID, "secret"), asyncio.CancelledError("secret")],
    ids=["crash", "undeclared", "cancelled-within"],
)
async def test_a_crash_or_an_undeclared_refusal_tells_nothing_of_the_inside(
    asker: Bus, seen: Seen, failure: BaseException
) -> None:
    seen.failure = failure
    with pytest.raises(Refused) as refused:
        await asker.ask(router.GET_CONFIG, Empty())
    assert refused.value.code is RefusalCode.INTERNAL
    assert "secret" not in refused.value.message


async def test_nobody_there_is_told_as_unavailable(asker: Bus) -> None:
    with pytest.raises(Refused) as refused:
        await asker.ask(registry.GET_DATASET, registry.GetDataset(dataset_id="ds_1"), patience=0.2)
    assert refused.value.code is RefusalCode.UNAVAILABLE


async def test_a_service_that_comes_back_soon_is_waited_for(asker: Bus, answerer: Bus) -> None:
    question = asyncio.create_task(asker.ask(router.GET_CONFIG, Empty(), patience=5))
    await asyncio.sleep(0.3)
    await answerer.serve(handlers(), Seen())
    assert await question == CONFIG


async def test_an_answer_that_comes_too_late_is_told_as_timeout(asker: Bus, seen: Seen) -> None:
    with pytest.raises(Refused) as refused:
        await asker.ask(router.TEST_PROMPT, router.TestPrompt(prompt="a"), timeout=0.05)
    assert refused.value.code is RefusalCode.TIMEOUT


async def test_principal_request_id_and_deadline_travel_with_the_question(asker: Bus, seen: Seen) -> None:
    call = Call(Principal(id="k", name="me", role="member"), time.time() + 5, "request-1", "once")
    with calling(call):
        await asker.ask(router.GET_CONFIG, Empty())
    assert seen.call is not None
    assert (seen.call.principal, seen.call.request_id, seen.call.idempotency_key) == (
        call.principal,
        call.request_id,
        call.idempotency_key,
    )
    assert seen.call.deadline == pytest.approx(call.deadline, abs=0.01)


async def test_the_trace_goes_on_at_the_other_side(asker: Bus, seen: Seen) -> None:
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        trace.set_tracer_provider(TracerProvider())
    with tracer().start_as_current_span("caller") as span:
        await asker.ask(router.GET_CONFIG, Empty())
    assert seen.trace_id == span.get_span_context().trace_id


async def test_a_stream_ends_with_its_final_message(asker: Bus, seen: Seen) -> None:
    items = [item async for item in asker.stream(router.CHAT_STREAM, CHAT)]
    assert items == [ChatDelta(content="a"), ChatDelta(content="b"), FINAL]


async def test_a_stream_that_breaks_ends_with_its_refusal(asker: Bus, seen: Seen) -> None:
    stream = asker.stream(router.CHAT_STREAM, CHAT.model_copy(update={"model": "broken"}))
    assert await anext(stream) == ChatDelta(content="a")
    with pytest.raises(Refused, match="The engine broke"):
        await anext(stream)


async def test_a_caller_that_leaves_a_stream_stops_the_work(asker: Bus, seen: Seen) -> None:
    stream = asker.stream(router.CHAT_STREAM, CHAT.model_copy(update={"model": "slow"}))
    await anext(stream)
    await stream.aclose()
    await asyncio.wait_for(seen.released.wait(), 1)


async def test_a_caller_that_dies_without_a_word_stops_the_work(
    settings_of: Callable[[str], ServiceSettings], seen: Seen
) -> None:
    dying = await Bus.connect(settings_of("gateway"), "gateway")
    stream = dying.stream(router.CHAT_STREAM, CHAT.model_copy(update={"model": "slow"}))
    await anext(stream)
    wire: Any = dying._wire
    wire._keeping.cancel()
    wire._link._transport.abort()
    await asyncio.wait_for(seen.released.wait(), 5)


async def test_a_caller_that_leaves_a_long_question_stops_the_work(asker: Bus, seen: Seen) -> None:
    asking = asyncio.create_task(asker.ask(router.TEST_PROMPT, router.TestPrompt(prompt="slow")))
    await seen.started.wait()
    asking.cancel()
    await asyncio.wait_for(seen.released.wait(), 1)


async def test_a_long_answer_whose_caller_died_is_stopped(
    settings_of: Callable[[str], ServiceSettings], seen: Seen
) -> None:
    dying = await Bus.connect(settings_of("gateway"), "gateway")
    asking = asyncio.create_task(dying.ask(router.TEST_PROMPT, router.TestPrompt(prompt="slow")))
    await seen.started.wait()
    wire: Any = dying._wire
    wire._keeping.cancel()
    wire._link._transport.abort()
    await asyncio.wait_for(seen.released.wait(), 5)
    asking.cancel()


async def test_long_questions_wait_in_line_for_as_long_as_it_takes(
    settings_of: Callable[[str], ServiceSettings], asker: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.bus.serving.PING_SECONDS", 0.02)
    for module in ("bus", "streaming"):
        monkeypatch.setattr(f"common.bus.{module}.SILENCE_SECONDS", 0.5)
    settings = settings_of("llm_router").model_copy(update={"max_concurrency": 1})
    answering = await Bus.connect(settings, "llm_router")
    await answering.serve(handlers(), Seen())
    prompts = [router.TestPrompt(prompt=str(i)) for i in range(3)]
    results = await asyncio.gather(*(asker.ask(router.TEST_PROMPT, prompt) for prompt in prompts))
    assert [result.result for result in results] == ["0", "1", "2"]
    await answering.close()


async def test_a_long_question_whose_server_died_is_unavailable(
    settings_of: Callable[[str], ServiceSettings], asker: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.bus.bus.SILENCE_SECONDS", 0.5)
    seen = Seen()
    dying = await Bus.connect(settings_of("llm_router"), "llm_router")
    await dying.serve(handlers(), seen)
    asking = asyncio.create_task(asker.ask(router.TEST_PROMPT, router.TestPrompt(prompt="slow")))
    await seen.started.wait()
    wire: Any = dying._wire
    wire._keeping.cancel()
    wire._link._transport.abort()
    with pytest.raises(Refused) as refused:
        await asking
    assert refused.value.code is RefusalCode.UNAVAILABLE


async def test_a_question_that_is_left_while_it_waits_in_line_is_never_worked_on(
    settings_of: Callable[[str], ServiceSettings], asker: Bus
) -> None:
    settings = settings_of("llm_router").model_copy(update={"max_concurrency": 1})
    answering = await Bus.connect(settings, "llm_router")
    seen = Seen()
    await answering.serve(handlers(), seen)
    first, second = (
        asyncio.create_task(asker.ask(router.TEST_PROMPT, router.TestPrompt(prompt="slow"))) for _ in range(2)
    )
    await seen.started.wait()
    second.cancel()
    await asyncio.wait([second])
    first.cancel()
    result = await asker.ask(router.TEST_PROMPT, router.TestPrompt(prompt="next"), timeout=10)
    assert result.result == "next"
    await answering.close()


async def test_nobody_there_ends_a_stream_as_unavailable(asker: Bus) -> None:
    with pytest.raises(Refused) as refused:
        await anext(asker.stream(router.CHAT_STREAM, CHAT, patience=0.2))
    assert refused.value.code is RefusalCode.UNAVAILABLE


def log(run_id: str, message: str) -> LogRecord:
    return LogRecord(run_id=run_id, timestamp=datetime.now(UTC), agent="a", level="INFO", message=message)


@pytest.fixture
async def orchestrating(settings_of: Callable[[str], ServiceSettings]) -> AsyncIterator[Bus]:
    bus = await Bus.connect(settings_of("orchestrator"), "orchestrator")
    yield bus
    await bus.close()


async def test_what_was_told_twice_is_kept_once_and_followed_in_order(asker: Bus, orchestrating: Bus) -> None:
    run_id = uuid.uuid4().hex
    for number in (1, 2, 2, 3):
        await orchestrating.publish(
            orchestrator.LOG_RECORDED, log(run_id, str(number)), key=run_id, message_id=f"{run_id}.{number}"
        )
    seen: list[Delivered[LogRecord]] = []
    async for delivered in asker.follow(orchestrator.LOG_RECORDED, key=run_id, after=0):
        seen.append(delivered)
        if len(seen) == 3:
            break
    assert [d.body.message for d in seen] == ["1", "2", "3"]
    assert {d.key for d in seen} == {run_id}


async def test_following_goes_on_after_a_sequence(asker: Bus, orchestrating: Bus) -> None:
    run_id = uuid.uuid4().hex
    records = [(run_id, f"{run_id}.{n}", log(run_id, str(n))) for n in range(5)]
    await orchestrating.publish_many(orchestrator.LOG_RECORDED, records)
    first = await anext(asker.follow(orchestrator.LOG_RECORDED, key=run_id, after=0))
    again = await anext(asker.follow(orchestrator.LOG_RECORDED, key=run_id, after=first.sequence))
    assert (first.body.message, again.body.message) == ("0", "1")


async def test_following_without_a_place_tells_only_what_is_new(asker: Bus, orchestrating: Bus) -> None:
    run_id = uuid.uuid4().hex
    await orchestrating.publish(orchestrator.LOG_RECORDED, log(run_id, "old"), key=run_id, message_id=f"{run_id}.old")
    following = asyncio.create_task(anext(asker.follow(orchestrator.LOG_RECORDED, key=run_id)))
    await asyncio.sleep(0.3)
    await orchestrating.publish(orchestrator.LOG_RECORDED, log(run_id, "new"), key=run_id, message_id=f"{run_id}.new")
    assert (await asyncio.wait_for(following, 5)).body.message == "new"


async def test_what_is_kept_is_told_again_from_a_place_on_and_then_ends(asker: Bus, orchestrating: Bus) -> None:
    run_id, event = uuid.uuid4().hex, orchestrator.LOG_RECORDED
    end = await asker.end_of(event)
    records = [(run_id, f"{run_id}.{n}", log(run_id, str(n))) for n in range(600)]
    await orchestrating.publish_many(event, records)
    whole = [delivered async for delivered in asker.replay(event, key=run_id, after=end)]
    assert [delivered.body.message for delivered in whole] == [str(n) for n in range(600)]
    assert await asker.end_of(event) == whole[-1].sequence
    rest = [delivered.body.message async for delivered in asker.replay(event, after=whole[-3].sequence)]
    assert rest == ["598", "599"]
    assert [one async for one in asker.replay(event, key="nobody")] == []
    with pytest.raises(Forgotten):
        await anext(asker.replay(event, after=whole[-1].sequence + 1))


async def test_what_is_mentioned_is_heard_by_who_listens(asker: Bus, orchestrating: Bus) -> None:
    run_id = uuid.uuid4().hex
    orchestrating.mention(orchestrator.LOG_RECORDED, log(run_id, "by the way"), key=run_id)
    heard = await asyncio.wait_for(anext(asker.follow(orchestrator.LOG_RECORDED, key=run_id, after=0)), 5)
    assert heard.body.message == "by the way"


async def test_a_batch_whose_handler_fails_comes_again(orchestrating: Bus) -> None:
    run_id = uuid.uuid4().hex
    attempts = 0
    done = asyncio.Event()

    async def handle(batch: list[Delivered[LogRecord]]) -> None:
        nonlocal attempts
        if any(d.body.run_id == run_id for d in batch):
            attempts += 1
            if attempts == 1:
                raise RuntimeError("not this time")
            done.set()

    consuming = asyncio.create_task(orchestrating.consume(ORCHESTRATOR_LOGS, handle))
    await orchestrating.publish(orchestrator.LOG_RECORDED, log(run_id, "x"), key=run_id, message_id=run_id)
    await asyncio.wait_for(done.wait(), 10)
    consuming.cancel()
    await asyncio.gather(consuming, return_exceptions=True)
    assert attempts == 2


async def test_a_service_may_not_speak_for_another(asker: Bus) -> None:
    record = orchestrator.StepReady(step_id=1, agent_class="DatasetAgent")
    publishing = asker.publish(orchestrator.STEP_READY, record, message_id=uuid.uuid4().hex)
    with pytest.raises(Exception, match="JetStream did not take"):
        await publishing


async def test_a_stream_that_lost_a_chunk_on_the_way_does_not_look_finished(asker: Bus, answerer: Bus) -> None:
    def lose_one_of_two(message: Message) -> None:
        answerer._wire.publish(message.reply, encode_chunks(ChatDelta, [ChatDelta(content="b")]))
        answerer._wire.publish(message.reply, encode(FINAL), headers={"Frame": "final", "Chunks": "2"})

    answerer._wire.subscribe(router.CHAT_STREAM.subject, lose_one_of_two, queue="llm_router")
    await answerer._wire.flush()
    stream = asker.stream(router.CHAT_STREAM, CHAT)
    assert await anext(stream) == ChatDelta(content="b")
    with pytest.raises(Refused) as refused:
        await anext(stream)
    assert refused.value.code is RefusalCode.UNAVAILABLE


async def test_long_answers_on_one_subject_do_not_hold_up_another(
    asker: Bus, settings_of: Callable[[str], ServiceSettings]
) -> None:
    busy = await Bus.connect(settings_of("llm_router").model_copy(update={"max_concurrency": 1}), "llm_router")
    await busy.serve(handlers(), Seen())
    stream = asker.stream(router.CHAT_STREAM, CHAT.model_copy(update={"model": "slow"}))
    await anext(stream)
    assert await asker.ask(router.GET_CONFIG, Empty(), timeout=2) == CONFIG
    await stream.aclose()
    await busy.close()


async def test_a_question_that_fits_only_without_its_headers_is_refused_and_costs_no_connection(asker: Bus) -> None:
    room = asker._wire.max_payload - len(registry.GetDataset(dataset_id="").model_dump_json())
    with pytest.raises(Refused) as refused:
        await asker.ask(registry.GET_DATASET, registry.GetDataset(dataset_id="x" * (room - 10)), timeout=1)
    assert refused.value.code is RefusalCode.TOO_LARGE


async def test_a_refusal_whose_details_are_too_large_arrives_without_them_and_costs_no_connection(
    asker: Bus, seen: Seen
) -> None:
    seen.failure = Refused(RefusalCode.INVALID, "No", {"errors": ["x" * 1000] * (asker._wire.max_payload // 1000)})
    with pytest.raises(Refused, match="No") as refused:
        await asker.ask(router.GET_CONFIG, Empty(), timeout=5)
    assert (refused.value.code, refused.value.metadata) == (RefusalCode.INVALID, {})


async def test_a_question_that_nobody_waits_for_is_not_worked_on(asker: Bus, seen: Seen, answerer: Bus) -> None:
    link = answerer._wire._link
    asker._wire.publish(router.GET_CONFIG.subject, b"{}")
    asker._wire.publish(router.CHAT_STREAM.subject, encode(CHAT))
    await asker.ask(router.TEST_PROMPT, router.TestPrompt(prompt="after"))
    await answerer._wire.flush()
    assert answerer._wire._link is link
    assert seen.call is None


async def test_a_caller_who_travels_with_too_much_is_refused_and_costs_no_connection(asker: Bus) -> None:
    link = asker._wire._link
    principal = Principal(id="1", name="a", role="admin", models=("m" * asker._wire.max_payload,))
    with calling(Call(principal=principal)):
        with pytest.raises(Refused) as asked:
            await asker.ask(router.GET_CONFIG, Empty())
        with pytest.raises(Refused) as streamed:
            await anext(asker.stream(router.CHAT_STREAM, CHAT))
    assert asked.value.code is streamed.value.code is RefusalCode.UNAVAILABLE
    await asker._wire.flush()
    assert asker._wire._link is link


async def test_messages_that_are_too_large_do_not_use_up_what_may_be_under_way(orchestrating: Bus) -> None:
    run_id = uuid.uuid4().hex
    subject, large = f"logs.v1.run.{run_id}", b"x" * (orchestrating._wire.max_payload + 1)
    for number in range(4001):
        with pytest.raises(BusDown):
            await orchestrating.publish_raw_many([(subject, large, {}, f"{run_id}.{number}")])
    await orchestrating.publish(orchestrator.LOG_RECORDED, log(run_id, "small"), key=run_id, message_id=run_id)


async def test_followers_that_are_cancelled_as_messages_come_all_end(asker: Bus, orchestrating: Bus) -> None:
    run_id = uuid.uuid4().hex

    async def follow() -> None:
        async for _ in asker.follow(orchestrator.LOG_RECORDED, key=run_id):
            pass

    followers = [asyncio.create_task(follow()) for _ in range(40)]
    await asyncio.sleep(0.5)
    record = (run_id, run_id, log(run_id, "1"))
    telling = asyncio.create_task(orchestrating.publish_many(orchestrator.LOG_RECORDED, [record]))
    # Each is cancelled at another turn of the loop, so that some are at the very moment at which theirs arrives.
    for follower in followers:
        for _ in range(4):
            await asyncio.sleep(0)
        follower.cancel()
    await telling
    _, running = await asyncio.wait(followers, timeout=8)
    for follower in running:
        follower.cancel()
    assert not running


async def test_following_passes_over_what_cannot_be_read(asker: Bus, orchestrating: Bus) -> None:
    run_id = uuid.uuid4().hex
    subject = orchestrator.LOG_RECORDED.subject_for(run_id)
    await orchestrating.publish_raw_many([(subject, b"{}", {}, f"{run_id}.bad")])
    await orchestrating.publish(orchestrator.LOG_RECORDED, log(run_id, "good"), key=run_id, message_id=run_id)
    async with asyncio.timeout(5):
        first = await anext(asker.follow(orchestrator.LOG_RECORDED, key=run_id, after=0))
    assert first.body.message == "good"


async def test_a_message_that_cannot_be_handled_holds_up_no_other(orchestrating: Bus) -> None:
    run_id = uuid.uuid4().hex
    handled: set[str] = set()
    done = asyncio.Event()

    async def handle(batch: list[Delivered[LogRecord]]) -> None:
        messages = {d.body.message for d in batch if d.body.run_id == run_id}
        if "bad" in messages and len(handled) < 4:
            raise RuntimeError("not this one")
        handled.update(messages)
        if len(handled) == 5:
            done.set()

    records = [(run_id, f"{run_id}.{name}", log(run_id, name)) for name in ("a", "b", "bad", "c", "d")]
    await orchestrating.publish_many(orchestrator.LOG_RECORDED, records)
    consuming = asyncio.create_task(orchestrating.consume(ORCHESTRATOR_LOGS, handle))
    await asyncio.wait_for(done.wait(), 10)
    consuming.cancel()
    await asyncio.gather(consuming, return_exceptions=True)
