"""OpenAI's API of a simulated engine."""

import time
from collections.abc import Sequence
from contextlib import aclosing

from aiohttp import web

from engines.embeddings import embeddings
from engines.logprobs import TokenLogprob, logprobs
from engines.openai_wire import (
    Answer,
    ChatCompletionRequest,
    CompletionRequest,
    EmbeddingRequest,
    Json,
    Kind,
    Said,
    model_card,
    model_not_found,
    usage,
)
from engines.server import bytes_response, cut_off, json_response, model_endpoints, note_completion, open_event_stream
from engines.simulated.engine import SimulatedEngine
from engines.simulated.structured import forced_call
from engines.simulated.text import Cut, Reply, count_tokens
from engines.simulated.vectors import DIMENSIONS, vector

FINGERPRINT = "simulated"


class OpenAIRoutes:
    """Chat and text completions, the model list, and `GET /info`, which says what this engine is."""

    def __init__(self, engine: SimulatedEngine) -> None:
        self._engine = engine
        self._settings = engine.settings
        card = model_card(
            engine.settings.model,
            created=int(time.time()),
            owned_by="simulated",
            metadata={"simulated": True, "name": engine.settings.name},
        )
        self._cards = [card]

    def table(self) -> list[web.RouteDef]:
        return [
            web.get("/info", self.info),
            *model_endpoints(lambda: self._cards),
            web.post("/v1/chat/completions", self.chat),
            web.post("/v1/completions", self.complete),
            web.post("/v1/embeddings", self.embed),
        ]

    async def info(self, _request: web.Request) -> web.Response:
        return json_response(
            {
                "name": self._settings.name,
                "model": self._settings.model,
                "simulated": True,
                "description": "A simulated engine: its answers are made up, no language model runs.",
                "apis": ["openai", "koboldai"],
            }
        )

    async def chat(self, request: web.Request) -> web.StreamResponse:
        asked = ChatCompletionRequest.model_validate_json(await request.read())
        texts = [message.text for message in asked.messages]
        prompt, cut = "\n".join(texts), Cut(asked.limit, asked.stops, asked.ignore_eos)
        if (call := forced_call(asked)) is not None:
            reply = Reply([], "tool_calls", count_tokens(prompt), [call])
        elif (schema := asked.schema_of_answer) is not None:
            reply = self._engine.author.fill_in(schema, prompt, cut)
        else:
            return await self._answer(request, "chat", asked, self._write(prompt, texts[-1], cut, asked.n))
        return await self._answer(request, "chat", asked, [reply] * asked.n)

    async def complete(self, request: web.Request) -> web.StreamResponse:
        asked = CompletionRequest.model_validate_json(await request.read())
        cut = Cut(asked.limit, asked.stops, asked.ignore_eos)
        prompts = map(_as_text, asked.prompts)
        replies = [reply for prompt in prompts for reply in self._write(prompt, prompt, cut, asked.n)]
        return await self._answer(request, "text", asked, replies)

    async def embed(self, request: web.Request) -> web.Response:
        asked = EmbeddingRequest.model_validate_json(await request.read())
        self._check(asked.model)
        texts = [_as_text(given) for given in asked.inputs]
        vectors = [vector(text, asked.dimensions or DIMENSIONS) for text in texts]
        counts = usage(sum(map(count_tokens, texts)), 0)
        return bytes_response(embeddings(asked, vectors, counts, FINGERPRINT))

    def _write(self, prompt: str, echo: str, cut: Cut, count: int) -> list[Reply]:
        """So many answers to the prompt, of which no two are the same."""
        return [self._engine.author.write(prompt, echo, cut, choice=choice) for choice in range(count)]

    def _check(self, model: str) -> None:
        if model != self._settings.model:
            raise model_not_found(model)

    async def _answer(
        self,
        request: web.Request,
        kind: Kind,
        asked: ChatCompletionRequest | CompletionRequest,
        replies: Sequence[Reply],
    ) -> web.StreamResponse:
        self._check(asked.model)
        answer = Answer(kind, asked.model, FINGERPRINT, with_usage=asked.include_usage)
        counts = _usage(replies, asked.n)
        if asked.stream:
            return await self._stream(request, answer, replies, counts)
        for reply in replies:
            await self._engine.finish(reply.tokens)
        self._count(counts)
        said = [
            Said(reply.text, reply.reason, _logprobs(kind, reply.tokens, asked.likeliest), reply.tool_calls)
            for reply in replies
        ]
        return bytes_response(answer.whole(said, counts))

    async def _stream(
        self, request: web.Request, answer: Answer, replies: Sequence[Reply], counts: dict[str, int]
    ) -> web.StreamResponse:
        """One choice after another. What is ready together is written together."""
        runs = [self._engine.begin(reply.tokens) for reply in replies]
        response = await open_event_stream(request)
        pending = b""
        for index, (run, reply) in enumerate(zip(runs, replies, strict=True)):
            frames, sent = answer.frames(index), 0
            pending += frames.opening
            async with aclosing(self._engine.batches(run)) as batches:
                async for batch in batches:
                    pending += frames.pieces(batch) if batch else b""
                    sent += len(batch)
                    if sent < len(run.tokens) or run.fails:  # else it leaves together with the closing
                        await response.write(pending)
                        pending = b""
            if run.fails:
                return cut_off(request, response)
            pending += (frames.calls(reply.tool_calls) if reply.tool_calls else b"") + frames.closing(reply.reason)
        await response.write(pending + answer.end(counts))
        self._count(counts)
        return response

    def _count(self, counts: dict[str, int]) -> None:
        self._engine.load.count(counts["prompt_tokens"], counts["completion_tokens"])
        note_completion(self._settings.model, counts["prompt_tokens"], counts["completion_tokens"])


def _as_text(prompt: str | list[int]) -> str:
    return prompt if isinstance(prompt, str) else " ".join(map(str, prompt))


def _usage(replies: Sequence[Reply], n: int) -> dict[str, int]:
    """Each prompt is read once, however many choices are made of it."""
    read = sum(reply.prompt_tokens for reply in replies[::n])
    return usage(read, sum(len(reply.tokens) for reply in replies))


def _logprobs(kind: Kind, tokens: Sequence[str], likeliest: int | None) -> Json | None:
    """Each token was certain, since no other could have come: nobody drew it."""
    if likeliest is None:
        return None
    return logprobs(kind, [TokenLogprob(token, 0.0, ((token, 0.0),) if likeliest else ()) for token in tokens])
