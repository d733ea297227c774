"""OpenAI's API of the local engine, and vLLM's endpoints for adapters."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from common import telemetry
from engines.embeddings import embeddings
from engines.local.adapters import LoadRequest, UnloadRequest
from engines.local.decoding import Finished, Piece
from engines.local.engine import LocalEngine
from engines.local.prompts import ChatPrompt, Prompt, TextPrompt, TokenPrompt
from engines.local.sampling import Sampling
from engines.logprobs import logprobs
from engines.openai_wire import (
    Answer,
    ApiError,
    ChatCompletionRequest,
    CompletionRequest,
    EmbeddingRequest,
    Kind,
    Said,
    Wire,
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
    "function_call": ("none", "auto"),
    "functions": ([],),
    "min_p": (0,),
    "modalities": (["text"],),
    "prediction": (),
    "reasoning_effort": ("none",),
    "repetition_penalty": (1,),
    "suffix": ("",),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
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
            web.post("/v1/embeddings", self.embed),
            web.post("/v1/load_lora_adapter", self.load_lora_adapter),
            web.post("/v1/unload_lora_adapter", self.unload_lora_adapter),
        ]

    async def chat(self, request: web.Request) -> web.StreamResponse:
        asked = ChatCompletionRequest.model_validate_json(await request.read())
        return await self._answer(request, "chat", asked, [ChatPrompt(asked.messages)])

    async def complete(self, request: web.Request) -> web.StreamResponse:
        asked = CompletionRequest.model_validate_json(await request.read())
        return await self._answer(request, "text", asked, [_prompt(given) for given in asked.prompts])

    async def embed(self, request: web.Request) -> web.Response:
        asked = EmbeddingRequest.model_validate_json(await request.read())
        _refuse_unsupported(asked)
        embedded = await self._engine.embed(asked.model, [_prompt(given) for given in asked.inputs])
        size = len(embedded.vectors[0])
        if asked.dimensions not in (None, size):
            raise ApiError(400, f"This model's vectors have {size} dimensions and no other.", param="dimensions")
        return bytes_response(embeddings(asked, embedded.vectors, usage(embedded.tokens, 0)))

    async def load_lora_adapter(self, request: web.Request) -> web.Response:
        asked = LoadRequest.model_validate_json(await request.read())
        await self._engine.load_adapter(asked)
        return web.Response(text=f"Success: LoRA adapter '{asked.lora_name}' added successfully.")

    async def unload_lora_adapter(self, request: web.Request) -> web.Response:
        asked = UnloadRequest.model_validate_json(await request.read())
        self._engine.unload_adapter(asked.lora_name)
        return web.Response(text=f"Success: LoRA adapter '{asked.lora_name}' removed successfully.")

    async def _answer(
        self, request: web.Request, kind: Kind, asked: Request, prompts: Sequence[Prompt]
    ) -> web.StreamResponse:
        _refuse_unsupported(asked)
        answer = Answer(kind, asked.model, with_usage=asked.include_usage)
        choices = [_Choice(prompt, number) for prompt in prompts for number in range(asked.n)]
        if asked.stream:
            return await self._stream(request, answer, asked, choices)
        said, ends = [], []
        for choice in choices:
            pieces: list[Piece] = []
            async with aclosing(self._generate(asked, choice)) as events:
                async for event in events:
                    if isinstance(event, Piece):
                        pieces.append(event)
                    else:
                        ends.append(event)
            tokens = [token for piece in pieces for token in piece.tokens]
            told = logprobs(kind, tokens) if asked.likeliest is not None else None
            said.append(Said("".join(piece.text for piece in pieces), ends[-1].reason, told))
        return bytes_response(answer.whole(said, _usage(asked, ends)))

    async def _stream(
        self, request: web.Request, answer: Answer, asked: Request, choices: Sequence["_Choice"]
    ) -> web.StreamResponse:
        """One choice after another."""
        response: web.StreamResponse | None = None
        ends: list[Finished] = []
        try:
            for index, choice in enumerate(choices):
                frames, offset = answer.frames(index), 0
                pending = frames.opening
                async with aclosing(self._generate(asked, choice)) as events:
                    async for event in events:
                        if response is None:
                            # What fails before the first token is answered with a status of its own.
                            response = await open_event_stream(request)
                        if isinstance(event, Piece):
                            told = logprobs(answer.kind, event.tokens, offset) if event.tokens else None
                            await response.write(pending + frames.piece(event.text, told))
                            offset += len(event.text)
                            pending = b""
                        else:
                            ends.append(event)
                            await response.write(pending + frames.closing(event.reason))
            assert response is not None  # noqa: S101 - every choice has an end
            await response.write(answer.end(_usage(asked, ends)))
        except ConnectionError:
            raise
        except Exception as error:
            if response is None:
                raise
            expected = isinstance(error, ApiError)
            if not expected:
                log.exception("generation failed", model=asked.model)
            await response.write((error if isinstance(error, ApiError) else internal_error()).frame())
        return response

    def _generate(self, asked: Request, choice: "_Choice") -> AsyncGenerator[Piece | Finished, None]:
        return self._engine.generate(asked.model, choice.prompt, _sampling(asked, choice.number))


@dataclass(frozen=True)
class _Choice:
    """One answer that is to be made: to which prompt, and the how manieth."""

    prompt: Prompt
    number: int


def _prompt(given: str | list[int]) -> Prompt:
    return TextPrompt(given) if isinstance(given, str) else TokenPrompt(given)


def _sampling(asked: Request, number: int) -> Sampling:
    return Sampling(
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        seed=asked.seed + number if asked.seed is not None else None,
        max_tokens=asked.limit,
        stops=asked.stops,
        ignore_eos=asked.ignore_eos,
        frequency_penalty=asked.frequency_penalty or 0.0,
        presence_penalty=asked.presence_penalty or 0.0,
        logit_bias=asked.logit_bias or {},
        json_schema=asked.schema_of_answer if isinstance(asked, ChatCompletionRequest) else None,
        likeliest=asked.likeliest,
    )


def _usage(asked: Request, ends: Sequence[Finished]) -> dict[str, int]:
    """Each prompt is counted once, however many choices were made of it."""
    read = sum(end.prompt_tokens for end in ends[:: asked.n])
    made = sum(end.completion_tokens for end in ends)
    note_completion(asked.model, read, made)
    return usage(read, made)


def _refuse_unsupported(asked: Wire) -> None:
    """Raises ApiError (400) for a field that would change the answer if this engine knew it. None passes silently."""
    declared = {name: getattr(asked, name) for name in asked.model_fields_set & _ONLY_AS.keys()}
    for name, value in {**declared, **(asked.model_extra or {})}.items():
        if value is None or name in _WITHOUT_EFFECT_ON_AN_ANSWER:
            continue
        if name not in _ONLY_AS:
            raise ApiError(400, f"Unrecognized request argument supplied: {name}", param=name)
        if value not in _ONLY_AS[name]:
            raise ApiError(400, f"This engine does not support `{name}`.", param=name, code="unsupported_parameter")
