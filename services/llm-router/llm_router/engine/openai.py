"""An engine that speaks OpenAI's HTTP API, with the calls for adapters that vLLM and the local engine share."""

from collections.abc import AsyncGenerator
from pathlib import Path

import orjson

from contracts.router import Chat, Embed, Usage
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
from llm_router.engine.http import EngineHttp, to_its_end
from llm_router.engine.openai_stream import EventLines, StreamedAnswer
from llm_router.engine.openai_wire import (
    embed_body,
    read_answer,
    read_models,
    read_vectors,
    request_body,
)
from llm_router.engine.protocol import Pieces, Timeouts
from llm_router.engine.tokenizer import EngineTokenizer


class OpenAIEngine:
    """A client with a connection pool of its own. Made inside the event loop, ended by `close`."""

    def __init__(self, spec: EngineSpec, timeouts: Timeouts) -> None:
        self._http = EngineHttp(spec, timeouts)
        self._tokenizer = EngineTokenizer(spec, timeouts)
        self._provider = spec.provider_type
        self._timeouts = timeouts

    async def close(self) -> None:
        await self._tokenizer.close()
        await self._http.close()

    @property
    def keeps_format(self) -> KeepsFormat:
        return KEEPS_FORMAT[self._provider]

    async def complete(self, question: Question, model: str) -> Answer:
        body = self._body(question, model, stream=False)
        answer = read_answer(await self._http.read("POST", _path(question), body))
        return _with_all_choices(answer, question)

    async def stream(self, question: Question, model: str) -> AsyncGenerator[Pieces | Answer, None]:
        body = self._body(question, model, stream=True)
        lines, answer = EventLines(), StreamedAnswer(question.choices_asked)
        async with self._http.call("POST", _path(question), body, silence=self._timeouts.silence) as response:
            while data := await response.more():
                pieces: Pieces = []
                try:
                    for payload in lines.feed(data):
                        pieces += answer.take(payload)
                finally:
                    # What came before a failure is told before it.
                    if pieces:
                        yield pieces
                if answer.done:
                    await to_its_end(response)
                    break
        if not answer.ended:
            raise EngineFailure(FailureKind.CONNECTION, "The engine broke off in the middle of its answer")
        yield _with_all_choices(answer.whole(), question)

    async def embed(self, asked: Embed, model: str) -> Vectors:
        body = embed_body(asked, model)
        return read_vectors(await self._http.read("POST", "/embeddings", body), len(asked.inputs))

    async def count(self, question: Question, output: str, model: str) -> Usage | None:
        return await self._tokenizer.count(question, output, model)

    async def models(self) -> list[ModelCard]:
        return read_models(await self._http.read("GET", "/models", total=self._timeouts.check))

    async def load_adapter(self, name: str, path: Path, base_model: str) -> None:
        body = orjson.dumps({"lora_name": name, "lora_path": str(path), "base_model_name": base_model})
        try:
            await self._http.read("POST", "/load_lora_adapter", body, total=self._timeouts.load)
        except EngineFailure as failure:
            if "already" in failure.message:
                return
            if failure.kind in (FailureKind.INVALID_REQUEST, FailureKind.MODEL_NOT_FOUND, FailureKind.INVALID_ANSWER):
                raise EngineFailure(FailureKind.MODEL_LOAD, f"{name} could not be loaded. {failure.message}") from None
            raise

    async def unload_adapter(self, name: str) -> None:
        body = orjson.dumps({"lora_name": name})
        try:
            await self._http.read("POST", "/unload_lora_adapter", body, total=self._timeouts.load)
        except EngineFailure as failure:
            # A 404 of vLLM's names the adapter and no model.
            if failure.kind not in (FailureKind.MODEL_NOT_FOUND, FailureKind.INVALID_ANSWER):
                raise

    def _body(self, question: Question, model: str, *, stream: bool) -> bytes:
        asked = self._prepared(question, model)
        return request_body(asked, model, stream=stream, hosted=self._provider == "openai")

    def _prepared(self, question: Question, model: str) -> Question:
        """What this engine is asked in place of `question`. Raises `EngineFailure(INVALID_REQUEST)`."""
        return question


def _path(question: Question) -> str:
    return "/chat/completions" if isinstance(question, Chat) else "/completions"


def _with_all_choices(answer: Answer, question: Question) -> Answer:
    made, asked = 1 + len(answer.others), question.choices_asked
    if made < asked:
        message = f"The engine made {made} of the {asked} choices that were asked for"
        raise EngineFailure(FailureKind.INVALID_REQUEST, message)
    return answer
