"""Tokens that nobody has counted, by the length of the texts: rather too many than too few."""

import math
from typing import Any

from contracts.router import Chat, ChatMessage, Embed, Usage
from llm_router.domain.engines import Asked

_BYTES_PER_TOKEN = 3
"""On the safe side: texts in English have more than four, others hardly ever fewer than three."""
_TOKENS_PER_MESSAGE = 8
_TOKENS_PER_IMAGE = 1500


def usage_by_length(asked: Asked, output: str) -> Usage:
    """About what a question and its answer, or as much of that as there is, have used."""
    read, written = input_tokens(asked), tokens_of(output)
    return Usage(prompt_tokens=read, completion_tokens=written, total_tokens=read + written)


def input_tokens(asked: Asked) -> int:
    """About how many tokens the input has, rather too many than too few."""
    if isinstance(asked, Chat):
        return sum(_message_tokens(message) for message in asked.messages) + _tokens_of_json(asked.extra.get("tools"))
    given = asked.inputs if isinstance(asked, Embed) else asked.prompt
    if isinstance(given, str):
        return tokens_of(given)
    return sum(_prompt_tokens(each) for each in given)


def tokens_of(text: str) -> int:
    return math.ceil(len(text.encode(errors="replace")) / _BYTES_PER_TOKEN)


def _tokens_of_json(value: Any) -> int:
    """Of a structure that goes to the model as text."""
    return 0 if value is None else tokens_of(str(value))


def _message_tokens(message: ChatMessage) -> int:
    own = _TOKENS_PER_MESSAGE + _tokens_of_json(message.tool_calls)
    if message.content is None or isinstance(message.content, str):
        return own + tokens_of(message.content or "")
    return own + sum(
        tokens_of(str(part["text"])) if isinstance(part.get("text"), str) else _TOKENS_PER_IMAGE
        for part in message.content
    )


def _prompt_tokens(prompt: str | int | list[int]) -> int:
    """Of a text, of one token, or of a list of tokens."""
    if isinstance(prompt, str):
        return tokens_of(prompt)
    return 1 if isinstance(prompt, int) else len(prompt)
