"""What a completion may cost at most, and what it did cost, in the units that budgets are counted in."""

import math
from decimal import Decimal
from typing import NamedTuple

from contracts.gateway import Budget
from contracts.router import Chat, Embed, Prices, Usage
from llm_router.domain.counting import input_tokens
from llm_router.domain.engines import Asked

NANODOLLARS = 10**9
"""Money is counted in whole billionths of a dollar: a token of the cheapest models costs some tens of them."""
_PER_PRICED_TOKENS = NANODOLLARS // 1_000_000

_USUAL_OUTPUT = 2048
"""Tokens reserved for an answer whose length nobody bounds."""


class Spending(NamedTuple):
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


def dearest(prices: list[Prices | None]) -> Prices | None:
    """What the dearest of several engines would charge. None if one of them has no known price."""
    known = [each for each in prices if each is not None]
    if not known or len(known) < len(prices):
        return None
    if len(known) == 1:
        return known[0]
    return Prices(input=max(each.input for each in known), output=max(each.output for each in known))


def nanodollars(budget: Budget) -> int | None:
    return None if budget.usd is None else round(Decimal(str(budget.usd)) * NANODOLLARS)


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
