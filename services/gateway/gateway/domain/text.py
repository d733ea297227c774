"""OpenAI's older completion API: texts that a model goes on with, as questions of the platform and back.

Source: https://platform.openai.com/docs/api-reference/completions.
"""

import time
import uuid
from typing import Any, Literal

from pydantic import Field

from contracts.base import Message
from contracts.router import ChatDelta, ChatReply, Choice, FinishReason, Prompts, TextCompletion, Usage
from gateway.domain.sampling import SamplingRequest, fingerprint


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


def text_completion(reply: ChatReply) -> Completion:
    return Completion(
        id=reply.id,
        object="text_completion",
        created=reply.created,
        model=reply.model,
        choices=[_choice(index, choice) for index, choice in enumerate((reply, *reply.others))],
        system_fingerprint=fingerprint(reply),
        usage=reply.usage,
    )


def _choice(index: int, choice: Choice) -> TextChoice:
    return TextChoice(text=choice.content, index=index, logprobs=choice.logprobs, finish_reason=choice.finish_reason)


class TextChunks:
    """The chunks of one streamed text completion, which share id, moment and model."""

    def __init__(self, asked: CompletionRequest) -> None:
        self._id = f"cmpl-{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._model = asked.model
        self._include_usage = asked.include_usage

    def opening(self) -> list[Completion]:
        """Nothing: a text has no role to begin with."""
        return []

    def delta(self, delta: ChatDelta) -> Completion:
        return self._chunk(
            TextChoice(text=delta.content, index=delta.index, logprobs=delta.logprobs, finish_reason=None)
        )

    def ending(self, reply: ChatReply) -> list[Completion]:
        """What comes last: the finish reasons and, where it was asked for, the usage."""
        last = [
            self._chunk(
                TextChoice(text="", index=index, logprobs=None, finish_reason=choice.finish_reason),
                said=fingerprint(reply),
            )
            for index, choice in enumerate((reply, *reply.others))
        ]
        if self._include_usage:
            last.append(self._chunk(None, said=fingerprint(reply), usage=reply.usage))
        return last

    def _chunk(self, choice: TextChoice | None, *, said: str | None = None, usage: Usage | None = None) -> Completion:
        return Completion(
            id=self._id,
            object="text_completion",
            created=self._created,
            model=self._model,
            choices=[choice] if choice is not None else [],
            system_fingerprint=said,
            **({"usage": usage} if self._include_usage else {}),
        )
