"""A completion from its request to its reply: find the route, take an engine, try again where that is safe."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import TypeVar

from common.context import current
from contracts.base import Refused
from contracts.router import ChatReply, Embed, Embeddings
from llm_router.domain.affinity import prefix_keys
from llm_router.domain.catalogue import Catalogue, Route
from llm_router.domain.counting import usage_by_length
from llm_router.domain.engines import Answer, Asked, Question, Vectors
from llm_router.domain.failures import EngineFailure, FailureKind
from llm_router.domain.interactions import chat_reply
from llm_router.domain.routing import pause_before_retry
from llm_router.engine import formatted
from llm_router.engine.adapters import Adapters
from llm_router.engine.budgets import Budgets
from llm_router.engine.limit import Limit
from llm_router.engine.models import Models
from llm_router.engine.observation import Observation
from llm_router.engine.pool import EnginePool, Lease
from llm_router.engine.prices import PriceList
from llm_router.engine.protocol import Engine, Pieces
from llm_router.engine.recorder import Recorder

T = TypeVar("T")

_MARGIN = 0.1
"""Seconds before the caller's deadline at which we give up, so that the answer says what was the matter."""


@dataclass(frozen=True)
class Patience:
    """`request` seconds for an answer, or for the first token of one that streams; `attempts` before that token."""

    request: float = 590.0
    attempts: int = 3


class Completions:
    """Answers chats, texts to go on with, and texts to embed.

    No method touches the database or the disk, but to load an adapter for the first time.
    """

    def __init__(
        self,
        models: Models,
        catalogue: Catalogue,
        pool: EnginePool,
        adapters: Adapters,
        recorder: Recorder,
        budgets: Budgets,
        prices: PriceList,
        patience: Patience,
    ) -> None:
        self._models = models
        self._catalogue = catalogue
        self._pool = pool
        self._adapters = adapters
        self._recorder = recorder
        self._budgets = budgets
        self._prices = prices
        self._patience = patience

    async def complete(self, question: Question) -> ChatReply:
        """The whole reply. Raises `EngineFailure`."""
        with Observation(question, self._recorder) as observation:

            def ask(engine: Engine, model: str) -> Awaitable[Answer]:
                return formatted.complete(engine, question, model)

            route, lease, answer = await self._begin(question, observation, ask)
            lease.succeeded()
            try:
                answer = await self._counted(question, route, lease, answer)
            finally:
                lease.release()
            return self._answered(route, lease, answer, observation)

    async def stream(self, question: Question) -> AsyncGenerator[Pieces | ChatReply, None]:
        """Pieces, then the whole reply. Closing it stops the engine. Raises `EngineFailure`, also half-way."""
        with Observation(question, self._recorder) as observation:

            async def ask(engine: Engine, model: str) -> tuple[Pieces | Answer, AsyncGenerator[Pieces | Answer, None]]:
                items = formatted.stream(engine, question, model)
                return await anext(items), items

            route, lease, (item, items) = await self._begin(question, observation, ask)
            try:
                async with aclosing(items):
                    while isinstance(item, list):
                        observation.pieces(item)
                        yield item
                        item = await anext(items)
                item = await self._counted(question, route, lease, item)
            except EngineFailure as failure:
                lease.failed(failure)
                raise
            finally:
                lease.release()
            lease.succeeded()
            reply = self._answered(route, lease, item, observation)
        # Recorded first: once a caller has the end of an answer, no crash of ours can lose the record of it.
        yield reply

    async def embed(self, asked: Embed) -> Embeddings:
        """The vectors of the inputs. Raises `EngineFailure`."""
        with Observation(asked, self._recorder) as observation:

            def ask(engine: Engine, model: str) -> Awaitable[Vectors]:
                return engine.embed(asked, model)

            route, lease, vectors = await self._begin(asked, observation, ask)
            lease.succeeded()
            lease.release()
            answer = _by_length(asked, Answer("", "", None, None, vectors.usage))
            reply = self._answered(route, lease, answer, observation)
            return Embeddings(
                model=reply.model,
                vectors=vectors.vectors,
                usage=reply.usage,
                engine=reply.engine,
                simulated=reply.simulated,
                seconds=reply.seconds,
                cost=reply.cost,
            )

    async def _begin(
        self, asked: Asked, observation: Observation, ask: Callable[[Engine, str], Awaitable[T]]
    ) -> tuple[Route, Lease, T]:
        """The first answer of an engine, with its lease, which the caller releases.

        Where the model cannot answer, its fallbacks are asked in their order, all before one deadline; when none can
        either, the failure is that of the model that was asked for.
        """
        deadline = self._deadline()
        try:
            return await self._ask_model(asked.model, asked, observation, ask, deadline)
        except EngineFailure as failure:
            for name in self._models.fallbacks(asked.model) if not failure.trait.final else ():
                if _left(deadline) == 0:
                    break
                observation.falling_back(failure)
                # A fallback may fail in turn, or be one that the caller's key does not allow.
                with suppress(Refused):
                    return await self._ask_model(name, asked, observation, ask, deadline)
            raise

    async def _ask_model(
        self,
        name: str,
        asked: Asked,
        observation: Observation,
        ask: Callable[[Engine, str], Awaitable[T]],
        deadline: float,
    ) -> tuple[Route, Lease, T]:
        route = await self._models.route(name)
        observation.routed(route)
        self._budgets.permit(name, route)
        observation.reserved(await self._budgets.reserve(asked, route))
        prefix = prefix_keys(asked, route.model) if len(route.engines) > 1 else ()
        avoid: set[str] = set()
        for attempt in count(1):
            await self._prepare(route, deadline)
            lease = await self._pool.lease(route, avoid=avoid, prefix=prefix, timeout=_left(deadline))
            observation.asking(lease, partial(self._prices.cost, lease.member.spec, route.model, route.name))
            try:
                with observation.calling():
                    return route, lease, await _until(deadline, self._ask(route, lease, ask), lease)
            except EngineFailure as failure:
                lease.failed(failure)
                lease.release()
                avoid.add(lease.name)
                pause = self._pause(route, failure, attempt, avoid)
                if pause is None or pause >= _left(deadline):
                    raise
                observation.retrying(failure)
            except BaseException:
                lease.release()
                raise
            await asyncio.sleep(pause)
        raise AssertionError("unreachable")

    async def _prepare(self, route: Route, deadline: float) -> None:
        """Loads an adapter that no engine holds before taking a place at one, which other models need meanwhile."""
        if route.adapter is None or (member := self._pool.best(route)) is None:
            return
        if self._catalogue.holds(member.name, route.model):
            return
        try:
            await _until(deadline, self._adapters.load(member, route.adapter))
        except EngineFailure as failure:
            # What may pass by itself is tried again with the lease of an engine, where it is accounted for; and what
            # this engine refuses for good, another may take.
            refused = failure.kind is FailureKind.MODEL_LOAD
            if not failure.trait.retryable and not (refused and self._pool.has_alternative(route, {member.name})):
                raise

    async def _ask(self, route: Route, lease: Lease, ask: Callable[[Engine, str], Awaitable[T]]) -> T:
        if route.adapter is None:
            return await ask(lease.engine, route.model)
        if not self._catalogue.holds(lease.name, route.model):
            await self._adapters.load(lease.member, route.adapter)
        try:
            return await ask(lease.engine, route.model)
        except EngineFailure as failure:
            if failure.kind is not FailureKind.MODEL_NOT_FOUND:
                raise
        # The engine was started again since and holds adapters in memory only, or another replica has unloaded it.
        self._catalogue.adapter_lost(lease.name, route.model)
        await self._adapters.load(lease.member, route.adapter)
        try:
            return await ask(lease.engine, route.model)
        except EngineFailure as failure:
            if failure.kind is not FailureKind.MODEL_NOT_FOUND:
                raise
            message = f"{route.model} was unloaded again at once: too many adapters are in use"
            raise EngineFailure(FailureKind.OVERLOADED, message) from None

    async def _counted(self, question: Question, route: Route, lease: Lease, answer: Answer) -> Answer:
        """The answer with its tokens: as the engine reports them, else by the model's tokenizer, else by its length."""
        if answer.usage.total_tokens:
            return answer
        usage = await lease.engine.count(question, answer.text, route.model)
        if usage is not None:
            return replace(answer, usage=usage, counted_by="tokenizer")
        return _by_length(question, answer)

    def _pause(self, route: Route, failure: EngineFailure, attempt: int, avoid: set[str]) -> float | None:
        if attempt >= self._patience.attempts:
            return None
        elsewhere = self._pool.has_alternative(route, avoid)
        return pause_before_retry(failure, attempt, elsewhere=elsewhere, chance=random.random())  # noqa: S311

    def _answered(self, route: Route, lease: Lease, answer: Answer, observation: Observation) -> ChatReply:
        cost = observation.answered(answer)
        return chat_reply(
            answer,
            name=route.name,
            engine=lease.name,
            simulated=self._catalogue.is_simulated(lease.name, route.model),
            created=observation.created,
            seconds=observation.seconds,
            time_to_first_token=observation.time_to_first_token,
            cost=cost,
        )

    def _deadline(self) -> float:
        """A moment of the loop's clock. For a stream it bounds the time to the first token."""
        remaining = current().remaining()
        seconds = self._patience.request
        if remaining is not None:
            seconds = min(seconds, remaining - _MARGIN)
        return asyncio.get_running_loop().time() + seconds


def _by_length(asked: Asked, answer: Answer) -> Answer:
    if answer.usage.total_tokens:
        return answer
    return replace(answer, usage=usage_by_length(asked, answer.text), counted_by="length")


def _left(deadline: float) -> float:
    return max(deadline - asyncio.get_running_loop().time(), 0.0)


async def _until(deadline: float, work: Awaitable[T], lease: Lease | None = None) -> T:
    """What comes of `work`, which the deadline ends: raises `EngineFailure(TIMEOUT)`.

    With a lease also after its engine's own timeout, and by CONNECTION when the engine falls silent while another one
    could answer.
    """
    own = lease.member.spec.timeout if lease is not None else None
    own_end = asyncio.get_running_loop().time() + own if own is not None else deadline
    try:
        with Limit(min(deadline, own_end)) as limit:
            if lease is None:
                return await work
            lease.awaits(limit)
            try:
                return await work
            finally:
                lease.heard()
    except TimeoutError:
        if lease is not None and lease.lost:
            raise EngineFailure(FailureKind.CONNECTION, "The engine fell silent before it answered") from None
        message = "No answer came before the deadline of the request"
        if own_end < deadline:
            message = f"The engine did not answer within its timeout of {own:g} s"
        raise EngineFailure(FailureKind.TIMEOUT, message) from None
