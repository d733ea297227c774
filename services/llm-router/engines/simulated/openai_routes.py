"""OpenAI's API of a simulated engine."""

import time
from contextlib import aclosing

from aiohttp import web

from engines.openai_wire import (
    Answer,
    ChatCompletionRequest,
    CompletionRequest,
    Kind,
    model_card,
    model_not_found,
    usage,
)
from engines.server import bytes_response, cut_off, json_response, model_endpoints, note_completion, open_event_stream
from engines.simulated.engine import SimulatedEngine
from engines.simulated.text import Cut, Reply

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
        cut = Cut(asked.limit, asked.stops, asked.ignore_eos)
        reply = self._engine.author.write("\n".join(texts), texts[-1], cut)
        return await self._answer(request, "chat", asked, reply)

    async def complete(self, request: web.Request) -> web.StreamResponse:
        asked = CompletionRequest.model_validate_json(await request.read())
        text = asked.text
        prompt = text if text is not None else " ".join(map(str, asked.ids))
        cut = Cut(asked.limit, asked.stops, asked.ignore_eos)
        reply = self._engine.author.write(prompt, prompt, cut)
        return await self._answer(request, "text", asked, reply)

    async def _answer(
        self, request: web.Request, kind: Kind, asked: ChatCompletionRequest | CompletionRequest, reply: Reply
    ) -> web.StreamResponse:
        if asked.model != self._settings.model:
            raise model_not_found(asked.model)
        answer = Answer(kind, asked.model, FINGERPRINT, with_usage=asked.include_usage)
        if asked.stream:
            return await self._stream(request, answer, reply)
        await self._engine.finish(reply.tokens)
        self._count(reply)
        return bytes_response(answer.whole(reply.text, reply.reason, _usage(reply)))

    async def _stream(self, request: web.Request, answer: Answer, reply: Reply) -> web.StreamResponse:
        run = self._engine.begin(reply.tokens)
        frames = answer.frames()
        response = await open_event_stream(request)
        pending, sent = frames.opening, 0
        async with aclosing(self._engine.batches(run)) as batches:
            async for batch in batches:
                pending += frames.pieces(batch)
                sent += len(batch)
                if sent < len(run.tokens) or run.fails:  # else it leaves together with the closing
                    await response.write(pending)
                    pending = b""
        if run.fails:
            return cut_off(request, response)
        await response.write(pending + frames.closing(reply.reason, _usage(reply) if answer.with_usage else None))
        self._count(reply)
        return response

    def _count(self, reply: Reply) -> None:
        self._engine.load.count(reply.prompt_tokens, len(reply.tokens))
        note_completion(self._settings.model, reply.prompt_tokens, len(reply.tokens))


def _usage(reply: Reply) -> dict[str, int]:
    return usage(reply.prompt_tokens, len(reply.tokens))
