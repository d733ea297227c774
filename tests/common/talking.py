"""What two services of a test say to each other, and a service that answers."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from opentelemetry import trace

from common.bus import Handlers
from common.context import Call, current
from contracts import router
from contracts.base import Empty, RefusalCode, Refused
from contracts.orchestrator import LogRecord
from contracts.router import Chat, ChatDelta, ChatMessage, ChatReply, Config, Usage

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
        self.heard = asyncio.Event()
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
            if request.model == "thoughtful":
                await seen.heard.wait()
            yield ChatDelta(content="a")
            if request.model == "slow":
                await asyncio.sleep(60)
            if request.model == "fast":
                # The first has left before there is another.
                await seen.heard.wait()
                for _ in range(20):
                    yield ChatDelta(content="c")
                    await asyncio.sleep(0)
            if request.model == "broken":
                raise Refused(RefusalCode.ENGINE_FAILED, "The engine broke")
            yield ChatDelta(content="b")
            yield FINAL
        finally:
            seen.released.set()

    return table


def log(run_id: str, message: str) -> LogRecord:
    return LogRecord(run_id=run_id, timestamp=datetime.now(UTC), agent="a", level="INFO", message=message)
