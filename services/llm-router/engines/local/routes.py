"""OpenAI's API of the local engine, and vLLM's endpoints for adapters."""

from contextlib import aclosing
from typing import Any

from aiohttp import web

from common import telemetry
from engines.local.adapters import LoadRequest, UnloadRequest
from engines.local.decoding import Finished, Piece, Sampling
from engines.local.engine import LocalEngine
from engines.local.prompts import ChatPrompt, Prompt, TextPrompt, TokenPrompt
from engines.openai_wire import (
    Answer,
    ApiError,
    ChatCompletionRequest,
    CompletionRequest,
    Kind,
    internal_error,
    usage,
)
from engines.server import bytes_response, model_endpoints, note_completion, open_event_stream

Request = ChatCompletionRequest | CompletionRequest

_WITHOUT_EFFECT_ON_AN_ANSWER = frozenset(
    {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "parallel_tool_calls"}
)
_ONLY_AS: dict[str, tuple[Any, ...]] = {
    "audio": (),
    "best_of": (1,),
    "echo": (False,),
    "frequency_penalty": (0,),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False, 0),
    "min_p": (0,),
    "modalities": (["text"],),
    "prediction": (),
    "presence_penalty": (0,),
    "reasoning_effort": ("none",),
    "repetition_penalty": (1,),
    "response_format": ({"type": "text"},),
    "suffix": ("",),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
}
"""Fields of the API that this engine does not have, and the values that ask for nothing."""

log = telemetry.get_logger()


class LocalRoutes:
    """The HTTP table of one local engine."""

    def __init__(self, engine: LocalEngine) -> None:
        self._engine = engine

    def table(self) -> list[web.RouteDef]:
        return [
            *model_endpoints(self._engine.cards),
            web.post("/v1/chat/completions", self.chat),
            web.post("/v1/completions", self.complete),
            web.post("/v1/load_lora_adapter", self.load_lora_adapter),
            web.post("/v1/unload_lora_adapter", self.unload_lora_adapter),
        ]

    async def chat(self, request: web.Request) -> web.StreamResponse:
        asked = ChatCompletionRequest.model_validate_json(await request.read())
        return await self._answer(request, "chat", asked, ChatPrompt(asked.messages))

    async def complete(self, request: web.Request) -> web.StreamResponse:
        asked = CompletionRequest.model_validate_json(await request.read())
        text = asked.text
        prompt = TextPrompt(text) if text is not None else TokenPrompt(asked.ids)
        return await self._answer(request, "text", asked, prompt)

    async def load_lora_adapter(self, request: web.Request) -> web.Response:
        asked = LoadRequest.model_validate_json(await request.read())
        await self._engine.load_adapter(asked)
        return web.Response(text=f"Success: LoRA adapter '{asked.lora_name}' added successfully.")

    async def unload_lora_adapter(self, request: web.Request) -> web.Response:
        asked = UnloadRequest.model_validate_json(await request.read())
        self._engine.unload_adapter(asked.lora_name)
        return web.Response(text=f"Success: LoRA adapter '{asked.lora_name}' removed successfully.")

    async def _answer(self, request: web.Request, kind: Kind, asked: Request, prompt: Prompt) -> web.StreamResponse:
        _refuse_unsupported(asked)
        answer = Answer(kind, asked.model, with_usage=asked.include_usage)
        if asked.stream:
            return await self._stream(request, answer, asked, prompt)
        pieces: list[str] = []
        async with aclosing(self._engine.generate(asked.model, prompt, _sampling(asked))) as events:
            async for event in events:
                if isinstance(event, Piece):
                    pieces.append(event.text)
                else:
                    finished = event
        return bytes_response(answer.whole("".join(pieces), finished.reason, _usage(asked.model, finished)))

    async def _stream(self, request: web.Request, answer: Answer, asked: Request, prompt: Prompt) -> web.StreamResponse:
        frames = answer.frames()
        async with aclosing(self._engine.generate(asked.model, prompt, _sampling(asked))) as events:
            # What fails before the first token is answered with a status of its own.
            event = await anext(events)
            response = await open_event_stream(request)
            pending = frames.opening
            try:
                while isinstance(event, Piece):
                    await response.write(pending + frames.piece(event.text))
                    pending = b""
                    event = await anext(events)
                counts = _usage(asked.model, event)
                await response.write(pending + frames.closing(event.reason, counts if answer.with_usage else None))
            except ApiError as error:
                await response.write(error.frame())
            except ConnectionError:
                raise
            except Exception:
                log.exception("generation failed", model=asked.model)
                await response.write(internal_error().frame())
        return response


def _sampling(asked: Request) -> Sampling:
    return Sampling(
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        seed=asked.seed,
        max_tokens=asked.limit,
        stops=asked.stops,
        ignore_eos=asked.ignore_eos,
    )


def _usage(model: str, finished: Finished) -> dict[str, int]:
    note_completion(model, finished.prompt_tokens, finished.completion_tokens)
    return usage(finished.prompt_tokens, finished.completion_tokens)


def _refuse_unsupported(asked: Request) -> None:
    """Raises ApiError (400) for a field that would change the answer if this engine knew it. None passes silently."""
    for name, value in (asked.model_extra or {}).items():
        if value is None or name in _WITHOUT_EFFECT_ON_AN_ANSWER:
            continue
        if name not in _ONLY_AS:
            raise ApiError(400, f"Unrecognized request argument supplied: {name}", param=name)
        if value not in _ONLY_AS[name]:
            raise ApiError(400, f"This engine does not support `{name}`.", param=name, code="unsupported_parameter")
