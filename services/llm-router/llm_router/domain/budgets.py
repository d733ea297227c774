"""What a completion may cost at most, and what it did cost, in the units that budgets are counted in."""

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from contracts.gateway import Budget
from contracts.router import Chat, ChatMessage, Embed, Prices, Usage
from llm_router.domain.engines import Asked

NANODOLLARS = 10**9
"""Money is counted in whole billionths of a dollar: a token of the cheapest models costs some tens of them."""
_PER_PRICED_TOKENS = NANODOLLARS // 1_000_000

_BYTES_PER_TOKEN = 3
"""On the safe side: texts in English have more than four, others hardly ever fewer than three."""
_TOKENS_PER_MESSAGE = 8
_TOKENS_PER_IMAGE = 1500
_USUAL_OUTPUT = 2048
"""Tokens reserved for an answer whose length nobody bounds."""


@dataclass(frozen=True)
class Spending:
    """Tokens read and written, and what they cost in nanodollars; `cost` is None when no price is known."""

    tokens: int
    cost: int | None


NOTHING = Spending(0, 0)


def most(asked: Asked, prices: Prices | None) -> Spending:
    """What is reserved before the call: the input by its length, the output by what the caller allows."""
    return _spending(input_tokens(asked), _output_tokens(asked), prices)


def spent(usage: Usage, prices: Prices | None) -> Spending:
    """What an answer cost."""
    return _spending(usage.prompt_tokens, usage.completion_tokens, prices)


def broken_off(asked: Asked, output: str, prices: Prices | None) -> Spending:
    """What an answer cost of which only `output` was seen: nobody counted it, so its length says."""
    return _spending(input_tokens(asked), tokens_of(output), prices)


def dearest(prices: list[Prices | None]) -> Prices | None:
    """What the dearest of several engines would charge. None if one of them has no known price."""
    known = [each for each in prices if each is not None]
    if not known or len(known) < len(prices):
        return None
    return Prices(input=max(each.input for each in known), output=max(each.output for each in known))


def nanodollars(budget: Budget) -> int | None:
    return None if budget.usd is None else round(Decimal(str(budget.usd)) * NANODOLLARS)


def input_tokens(asked: Asked) -> int:
    """About how many tokens the input has, rather too many than too few."""
    if isinstance(asked, Chat):
        return sum(_message_tokens(message) for message in asked.messages) + tokens_of_json(asked.extra.get("tools"))
    given = asked.inputs if isinstance(asked, Embed) else asked.prompt
    if isinstance(given, str):
        return tokens_of(given)
    return sum(_prompt_tokens(each) for each in given)


def tokens_of(text: str) -> int:
    return math.ceil(len(text.encode(errors="replace")) / _BYTES_PER_TOKEN)


def tokens_of_json(value: Any) -> int:
    """Of a structure that goes to the model as text."""
    return 0 if value is None else tokens_of(str(value))


def _message_tokens(message: ChatMessage) -> int:
    own = _TOKENS_PER_MESSAGE + tokens_of_json(message.tool_calls)
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


def _output_tokens(asked: Asked) -> int:
    if isinstance(asked, Embed):
        return 0
    several = not isinstance(asked, Chat) and isinstance(asked.prompt, list) and not isinstance(asked.prompt[0], int)
    answers = (asked.n or 1) * (len(asked.prompt) if several else 1)  # type: ignore[union-attr]
    return (asked.max_tokens or _USUAL_OUTPUT) * answers


def _spending(read: int, written: int, prices: Prices | None) -> Spending:
    if prices is None:
        return Spending(read + written, None)
    return Spending(read + written, math.ceil((read * prices.input + written * prices.output) * _PER_PRICED_TOKENS))
