"""Budgets of callers: a part is reserved before each completion, and what it really cost is settled at its end.

Here, since every completion of every route passes the router, those of workflows and background tasks too.
"""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

from common.allowances import Allowances, Limit, Standing, Window
from common.context import Principal, current
from contracts.base import RefusalCode, Refused
from contracts.gateway import Budget
from contracts.router import Prices, Usage
from llm_router.domain import budgets
from llm_router.domain.budgets import NOTHING
from llm_router.domain.catalogue import Route
from llm_router.domain.engines import Asked

PricesOf = Callable[[str, str, str], Prices | None]
"""The prices of a model, by the engine's name, the name that the engine knows the model by, and the caller's for it."""


class _Part(NamedTuple):
    """What is reserved of one limit, and how the caller stood with it then."""

    limit: Limit
    standing: Standing
    amount: int


class Reservation:
    """What one completion may spend of its caller's budget, until it is settled."""

    def __init__(
        self,
        allowances: Allowances,
        asked: Asked,
        prices_of: Callable[[str], Prices | None],
        parts: tuple[_Part | None, _Part | None],
    ) -> None:
        self._allowances = allowances
        self._asked = asked
        self._prices_of = prices_of
        self._tokens, self._cost = parts

    def settle(self, engine: str | None, usage: Usage | None) -> None:
        """With what was used at `engine`: nothing, where `usage` is None."""
        # Prices matter to a budget of money alone.
        prices = None if engine is None or self._cost is None else self._prices_of(engine)
        spent = budgets.spent(usage, prices) if usage is not None else NOTHING
        if self._tokens is not None:
            self._allowances.correct(self._tokens.limit, self._tokens.standing, spent.tokens - self._tokens.amount)
        if self._cost is not None and spent.cost is not None:
            self._allowances.correct(self._cost.limit, self._cost.standing, spent.cost - self._cost.amount)
        self._tokens = self._cost = None


class Budgets:
    """Holds callers to the models and the budget that they have."""

    def __init__(self, allowances: Allowances, prices_of: PricesOf) -> None:
        self._allowances = allowances
        self._prices_of = prices_of

    def permit(self, name: str, route: Route) -> None:
        """Raises `Refused(FORBIDDEN)` unless the caller may ask the model, by the name it was asked by or its own.

        Whoever may ask a trained model by its name may ask its versions and aliases too.
        """
        principal = current().principal
        if principal is None or principal.models is None:
            return
        family = route.adapter.name if route.adapter is not None else route.name
        if not any(principal.may_ask(known) for known in (name, route.name, family)):
            raise Refused(
                RefusalCode.FORBIDDEN, f"This key may not ask the model {name!r}", {"param": "model", "model": name}
            )

    async def reserve(self, asked: Asked, route: Route) -> Reservation | None:
        """What the completion may cost at most, taken from the caller's budget. None where the caller has none.

        Raises `Refused`: QUOTA_EXHAUSTED when too little is left, FORBIDDEN when a budget in dollars cannot be held
        because nobody knows the price, UNAVAILABLE when the budget cannot be checked.
        """
        principal = current().principal
        if principal is None or principal.budget is None:
            return None
        budget = principal.budget
        usd = budgets.nanodollars(budget)
        most = budgets.most(asked, None if usd is None else self._dearest(route))
        if usd is not None and most.cost is None:
            raise Refused(
                RefusalCode.FORBIDDEN,
                f"This key has a budget in dollars, and no price is known for {route.name!r}",
                {"param": "model", "model": route.name},
            )

        def reservation(tokens: _Part | None, cost: _Part | None) -> Reservation:
            return Reservation(
                self._allowances, asked, lambda engine: self._prices_of(engine, route.model, route.name), (tokens, cost)
            )

        tokens = await self._take(principal, budget, "tokens", budget.tokens, most.tokens)
        try:
            cost = await self._take(principal, budget, "usd", usd, most.cost or 0)
        except BaseException:
            reservation(tokens, None).settle(None, None)
            raise
        return reservation(tokens, cost)

    def _dearest(self, route: Route) -> Prices | None:
        return budgets.dearest([self._prices_of(engine, route.model, route.name) for engine in route.engines])

    async def _take(
        self, principal: Principal, budget: Budget, unit: str, limit: int | None, amount: int
    ) -> _Part | None:
        if limit is None:
            return None
        window: Window = budget.period
        asked = Limit(f"budget:{principal.id}:{budget.period}:{unit}", limit, window)
        # More than all of it is too much, however much more: callers may write any number.
        taken = min(amount, limit + 1)
        standing = self._allowances.spend(asked, taken) or await self._allowances.take(asked, taken)
        if not standing.admitted:
            raise _exhausted(budget, unit, amount, standing)
        return _Part(asked, standing, amount)


def _exhausted(budget: Budget, unit: str, amount: int, standing: Standing) -> Refused:
    whole = f"{budget.usd} US dollars" if unit == "usd" else f"{budget.tokens} tokens"
    most = f"{amount / budgets.NANODOLLARS:.4g} US dollars" if unit == "usd" else f"{amount} tokens"
    period = "in all" if budget.period == "total" else f"a {budget.period}"
    metadata: dict[str, object] = {"unit": unit, "period": budget.period}
    if standing.resets_at is not None:
        metadata["retry_after"] = max(1, math.ceil(standing.resets_at - time.time()))
    return Refused(
        RefusalCode.QUOTA_EXHAUSTED,
        f"Too little is left of this key's budget of {whole} {period}: the prompt and max_tokens"
        f" together may take up to {most}",
        metadata,
    )
