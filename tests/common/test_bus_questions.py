"""Questions between two services on a real NATS server."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from common.bus import Bus
from common.bus.frames import encode
from common.context import Call, Principal, calling
from common.settings import ServiceSettings
from common.tracing import tracer
from contracts import registry, router
from contracts.base import Empty, RefusalCode, Refused

from .talking import CHAT, CONFIG, Seen, handlers


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
