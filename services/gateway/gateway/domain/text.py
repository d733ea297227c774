"""OpenAI's older completion API: texts that a model goes on with, as questions of the platform and back.

Source: https://platform.openai.com/docs/api-reference/completions.
"""

import time
import uuid
from typing import Any, Literal

from pydantic import Field

from contracts.base import Message
from contracts.router import ChatDelta, ChatReply, FinishReason, Prompts, TextCompletion, Usage
from gateway.domain.sampling import SamplingRequest, fingerprint

Json = dict[str, Any]


class CompletionRequest(SamplingRequest):
    """A text completion as OpenAI's clients ask for it: each prompt, a text or the ids of its tokens, is continued."""

    checked = SamplingRequest.checked | {"logprobs", "echo", "best_of", "suffix"}

    prompt: Prompts
    logprobs: int | None = Field(default=None, ge=0, le=20)
    echo: bool | None = None
    best_of: int | None = Field(default=None, ge=1, le=128)
    suffix: str | None = None

    def question(self) -> TextCompletion:
        return TextCompletion(
            model=self.model,
            prompt=self.prompt,
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            stop=self.stop,
            seed=self.seed,
            n=self.n,
            extra=self.passed_on(),
        )


class TextChoice(Message):
    text: str
    index: int
    logprobs: dict[str, Any] | None
    finish_reason: FinishReason | None


class Completion(Message):
    """A finished completion, or a piece of a streamed one. The choices of a prompt follow those of the one before."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    system_fingerprint: str | None
    usage: Usage | None = None


def text_completion(reply: ChatReply) -> Json:
    """A `Completion`."""
    return {
        "id": reply.id,
        "object": "text_completion",
        "created": reply.created,
        "model": reply.model,
        "choices": [
            _choice(index, choice.content, choice.finish_reason, choice.logprobs)
            for index, choice in enumerate((reply, *reply.others))
        ],
        "system_fingerprint": fingerprint(reply),
        "usage": reply.usage.model_dump(),
    }


def _choice(index: int, text: str, finish_reason: FinishReason | None, logprobs: Json | None) -> Json:
    return {"text": text, "index": index, "logprobs": logprobs, "finish_reason": finish_reason}


class TextChunks:
    """The chunks of one streamed text completion, each a `Completion`: they share id, moment and model."""

    def __init__(self, asked: CompletionRequest) -> None:
        self._shared: Json = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": asked.model,
            "system_fingerprint": None,
        }
        self._usage: Json = {"usage": None} if asked.include_usage else {}

    def opening(self) -> list[Json]:
        """Nothing: a text has no role to begin with."""
        return []

    def delta(self, delta: ChatDelta) -> Json:
        choice = _choice(delta.get("index", 0), delta.get("content", ""), None, delta.get("logprobs"))
        return {**self._shared, "choices": [choice], **self._usage}

    def ending(self, reply: ChatReply) -> list[Json]:
        """What comes last: the finish reasons and, where it was asked for, the usage."""
        shared = {**self._shared, "system_fingerprint": fingerprint(reply)}
        last = [
            {**shared, "choices": [_choice(index, "", choice.finish_reason, None)], **self._usage}
            for index, choice in enumerate((reply, *reply.others))
        ]
        if self._usage:
            last.append({**shared, "choices": [], "usage": reply.usage.model_dump()})
        return last
