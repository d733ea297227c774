"""An engine that speaks KoboldAI's HTTP API, with KoboldCpp's `extra` calls: one model, a text in, a text out."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager, suppress
from pathlib import Path

import orjson

from contracts.router import ChatDelta, Embed, FinishReason, Usage
from llm_router.domain.engines import (
    KEEPS_FORMAT,
    Answer,
    EngineSpec,
    KeepsFormat,
    ModelCard,
    Question,
    Vectors,
)
from llm_router.domain.failures import EngineFailure, FailureKind
from llm_router.domain.instruct import StopCut
from llm_router.engine.http import EngineHttp
from llm_router.engine.kobold_wire import (
    USUAL_LENGTH,
    generate_body,
    prompt_of,
    read_model,
    read_result,
    read_token,
    read_value,
    stops_of,
    tokens,
)
from llm_router.engine.openai_stream import EventLines
from llm_router.engine.protocol import Pieces, Timeouts

_NOTHING = Usage(prompt_tokens=0, completion_tokens=0, total_tokens=0)


class KoboldEngine:
    """Renders a conversation to an instruct prompt. A generation that nobody waits for any more is aborted.

    A stream has ended when the server says why, as KoboldCpp does since 1.66; otherwise it broke off.
    """

    def __init__(self, spec: EngineSpec, timeouts: Timeouts) -> None:
        self._http = EngineHttp(spec, timeouts)
        self._timeouts = timeouts
        self._model: str | None = None
        self._context: int | None = None
        self._aborting: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        await asyncio.gather(*self._aborting)
        await self._http.close()

    @property
    def keeps_format(self) -> KeepsFormat:
        return KEEPS_FORMAT["koboldai"]

    async def complete(self, question: Question, model: str) -> Answer:
        prompt = prompt_of(question)
        key = _key()
        body = generate_body(question, prompt, key, await self._length(question, prompt), self._context)
        with self._abort_if_left(key):
            text, reason, usage = read_result(await self._http.read("POST", "/api/v1/generate", body))
        cut = StopCut(stops_of(question))
        text = cut.feed(text) + cut.rest()
        return _answer(key, text, "stop" if cut.stopped else reason, usage or await self._usage(prompt, text))

    async def stream(self, question: Question, model: str) -> AsyncGenerator[Pieces | Answer, None]:
        prompt = prompt_of(question)
        key = _key()
        body = generate_body(question, prompt, key, await self._length(question, prompt), self._context)
        cut, pieces = StopCut(stops_of(question)), list[str]()
        reason: FinishReason | None = None
        with self._abort_if_left(key):
            async with aclosing(self._events(body)) as events:
                async for token, reason in events:
                    if piece := cut.feed(token):
                        pieces.append(piece)
                        yield [ChatDelta(content=piece)]
                    if cut.stopped or reason is not None:
                        break
            if cut.stopped and reason is None:
                self._abort(key)
            elif reason is None:
                raise EngineFailure(FailureKind.CONNECTION, "The engine broke off in the middle of its answer")
            if rest := cut.rest():
                pieces.append(rest)
                yield [ChatDelta(content=rest)]
        text = "".join(pieces)
        yield _answer(key, text, "stop" if cut.stopped else reason, await self._usage(prompt, text))

    async def embed(self, asked: Embed, model: str) -> Vectors:
        raise EngineFailure(FailureKind.INVALID_REQUEST, "A KoboldAI engine makes no embeddings")

    async def count(self, question: Question, output: str, model: str) -> Usage | None:
        """It was asked while it answered, so what it did not count then it cannot."""
        return None

    async def models(self) -> list[ModelCard]:
        name = read_model(await self._http.read("GET", "/api/v1/model", total=self._timeouts.check))
        if name is None:
            self._model = self._context = None
            return []
        if name != self._model or self._context is None:
            self._context = await self._read_context()
            self._model = name
        return [ModelCard(name, self._context)]

    async def load_adapter(self, name: str, path: Path, base_model: str) -> None:
        raise EngineFailure(FailureKind.MODEL_LOAD, "A KoboldAI engine loads no adapters")

    async def unload_adapter(self, name: str) -> None:
        """There is none."""

    async def _events(self, body: bytes) -> AsyncGenerator[tuple[str, FinishReason | None], None]:
        lines = EventLines()
        silence = self._timeouts.silence
        async with self._http.call("POST", "/api/extra/generate/stream", body, silence=silence) as response:
            while data := await response.more():
                for payload in lines.feed(data):
                    yield read_token(payload)

    async def _length(self, question: Question, prompt: str) -> int:
        """Tokens to make at most. The server would cut off the beginning of a prompt that is too long; we refuse it.

        Raises `EngineFailure(CONTEXT_LENGTH)`.
        """
        length = question.max_tokens or USUAL_LENGTH
        # No token is shorter than a byte, so a short prompt needs no counting.
        if self._context is None or len(prompt.encode()) + length <= self._context:
            return length
        counted = await self._count(prompt)
        if counted is None:
            return length
        room = self._context - counted
        if room < (question.max_tokens or 1):
            raise EngineFailure(
                FailureKind.CONTEXT_LENGTH,
                f"The prompt has {counted} tokens and {length} are asked for; the model takes {self._context} in all",
            )
        return min(length, room)

    async def _usage(self, prompt: str, text: str) -> Usage:
        asked, made = await asyncio.gather(self._count(prompt), self._count(text))
        return tokens(asked, made) if asked is not None and made is not None else _NOTHING

    async def _count(self, text: str) -> int | None:
        """As the model's tokenizer counts; None from a server that does not."""
        body = orjson.dumps({"prompt": text})
        with suppress(EngineFailure):
            return read_value(await self._http.read("POST", "/api/extra/tokencount", body, total=self._timeouts.check))
        return None

    async def _read_context(self) -> int | None:
        for path in ("/api/extra/true_max_context_length", "/api/v1/config/max_context_length"):
            with suppress(EngineFailure):
                return read_value(await self._http.read("GET", path, total=self._timeouts.check)) or None
        return None

    @contextmanager
    def _abort_if_left(self, key: str) -> Iterator[None]:
        """Aborts the generation when the block is left early: by its caller, or because the engine takes too long."""
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            self._abort(key)
            raise
        except EngineFailure as failure:
            if failure.kind is FailureKind.TIMEOUT:
                self._abort(key)
            raise

    def _abort(self, key: str) -> None:
        task = asyncio.create_task(self._send_abort(key))
        self._aborting.add(task)
        task.add_done_callback(self._aborting.discard)

    async def _send_abort(self, key: str) -> None:
        with suppress(EngineFailure):
            body = orjson.dumps({"genkey": key})
            await self._http.read("POST", "/api/extra/abort", body, total=self._timeouts.check)


def _key() -> str:
    return f"KCPP{uuid.uuid4().hex}"


def _answer(key: str, text: str, reason: FinishReason | None, usage: Usage) -> Answer:
    return Answer(f"chatcmpl-{key.removeprefix('KCPP')}", text, None, reason, usage)
