"""Completions that are asked for with an idempotency key: made once, and told again to whoever asks again.

Without a key none of this is touched. A failure is not kept: the same key may be tried again, with another question
too. While one replica makes a completion, others that are asked for it wait; should it die, its lease runs out and
one of them takes over. Who only waits for a key stops with its caller. Once an engine has answered, the completion is
kept whatever happens but the death of this process: whether the caller leaves, or the database is away for a while.
"""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Self

from common.context import current
from common.telemetry import get_logger
from contracts.base import RefusalCode, Refused
from contracts.router import ChatReply, whole_delta
from llm_router.domain.engines import Question
from llm_router.engine.protocol import Pieces
from llm_router.handlers.deps import Deps
from llm_router.store import kept

_log = get_logger("idempotency")
_LOOK_SECONDS = 0.2
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_PATIENCE_SECONDS = 2.0
"""How long a caller waits for what it already has to be kept."""
_SWEEP_SECONDS = 600.0
_MOST_ABANDONED = 64
"""Completions at once that are made though their callers have left; who leaves one more stops it."""


async def complete(deps: Deps, question: Question, key: str) -> ChatReply:
    """The completion of the key, made now if need be, also for a caller that leaves meanwhile: it will ask again, and
    shall neither wait nor pay twice. Raises `Refused`: CONFLICT for a key of another question."""
    claim = _Claim.of(deps, key)
    if (reply := await _reply_or_claim(claim, question)) is not None:
        return reply
    making = asyncio.create_task(_make(claim, question))
    deps.keeping.add(making)
    making.add_done_callback(partial(_made, deps))
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        if len(deps.abandoned) >= _MOST_ABANDONED:
            making.cancel()
        elif not making.done():
            deps.abandoned.add(making)
        raise


async def stream(deps: Deps, question: Question, key: str) -> AsyncGenerator[Pieces | ChatReply, None]:
    """As `complete`, but leaving stops it. One that was made before comes in one piece for each choice."""
    claim = _Claim.of(deps, key)
    if (reply := await _reply_or_claim(claim, question)) is not None:
        yield [whole_delta(index, choice) for index, choice in enumerate((reply, *reply.others))]
        yield reply
        return
    async with _held(claim), aclosing(deps.completions.stream(question)) as items:
        async for item in items:
            if isinstance(item, ChatReply):
                await claim.keep(item)
            yield item


async def settle(deps: Deps) -> None:
    """Waits a moment for what is still being made or kept, at the end of this process, and gives the rest back."""
    if deps.keeping:
        await asyncio.wait(set(deps.keeping), timeout=_PATIENCE_SECONDS)
    if left := set(deps.keeping):
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=_PATIENCE_SECONDS)


async def sweep(deps: Deps) -> None:
    """Forgets completions whose time is over, until cancelled."""
    while True:
        with suppress(Refused):
            async with deps.database.connection() as connection:
                await kept.forget_expired(connection)
        await asyncio.sleep(_SWEEP_SECONDS)


@dataclass(frozen=True)
class _Claim:
    """The right to make the completion of a key."""

    deps: Deps
    principal: str
    key: str
    holder: uuid.UUID = field(default_factory=uuid.uuid4)
    is_answered: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def of(cls, deps: Deps, key: str) -> Self:
        """That of who asks now."""
        return cls(deps, current().owner, key)

    async def keep(self, reply: ChatReply) -> None:
        """Returns once it is kept. The caller of one that cannot be at the moment gets it, and it is kept later."""
        self.is_answered.set()
        keeping = asyncio.create_task(self._keep(reply.model_dump_json().encode()))
        self.deps.keeping.add(keeping)
        keeping.add_done_callback(self.deps.keeping.discard)
        # A caller that leaves meanwhile may ask again, and shall not pay again: the task goes on.
        await asyncio.wait({keeping}, timeout=_PATIENCE_SECONDS)

    async def _keep(self, reply: bytes) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                async with self.deps.database.connection() as connection:
                    await kept.keep(connection, self.principal, self.key, self.holder, reply)
                return
            except Refused as refused:
                _log.warning("completion_waits", reason=refused.message)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def renew(self) -> None:
        lease = self.deps.making_seconds
        while True:
            await asyncio.sleep(lease / 3)
            with suppress(Refused):
                async with self.deps.database.connection() as connection:
                    await kept.renew(connection, self.principal, self.key, self.holder, lease=lease)

    async def abandon(self) -> None:
        """Not what an engine has answered: that is being kept."""
        if self.is_answered.is_set():
            return
        with suppress(Refused):
            async with self.deps.database.connection() as connection:
                await kept.abandon(connection, self.principal, self.key, self.holder)


@asynccontextmanager
async def _held(claim: _Claim) -> AsyncIterator[None]:
    """Around the making of what was claimed: the claim is given back if the block does not keep a completion."""
    renewing = asyncio.create_task(claim.renew())
    try:
        yield
    except BaseException:
        # Also when the caller has left; a lease that cannot be given back runs out.
        await claim.abandon()
        raise
    finally:
        renewing.cancel()


async def _make(claim: _Claim, question: Question) -> ChatReply:
    async with _held(claim):
        reply = await claim.deps.completions.complete(question)
        await claim.keep(reply)
        return reply


def _made(deps: Deps, making: "asyncio.Task[ChatReply]") -> None:
    is_abandoned = making in deps.abandoned
    deps.keeping.discard(making)
    deps.abandoned.discard(making)
    # Asked for in any case: where the caller has left nobody else does, which asyncio takes for a mistake.
    error = None if making.cancelled() else making.exception()
    if is_abandoned and error is not None and not isinstance(error, Refused):
        _log.error("completion_crashed", exc_info=error)


async def _reply_or_claim(claim: _Claim, question: Question) -> ChatReply | None:
    """The finished completion; None once it is ours to make. Waits while somebody else makes it."""
    try:
        return await _found_or_claimed(claim, question)
    except asyncio.CancelledError:
        # The caller may have left in the very moment in which it became ours.
        await claim.abandon()
        raise


async def _found_or_claimed(claim: _Claim, question: Question) -> ChatReply | None:
    fingerprint = _fingerprint(question)
    while True:
        async with claim.deps.database.connection() as connection:
            if await kept.claim(
                connection,
                claim.principal,
                claim.key,
                fingerprint,
                claim.holder,
                lease=claim.deps.making_seconds,
                keep=claim.deps.keep_seconds,
            ):
                return None
            found = await kept.find(connection, claim.principal, claim.key)
        if found is not None and found.fingerprint != fingerprint:
            message = "This Idempotency-Key was used for another request"
            raise Refused(RefusalCode.CONFLICT, message, {"param": "Idempotency-Key", "temporary": False})
        if found is not None and found.reply is not None:
            return ChatReply.model_validate_json(found.reply)
        await asyncio.sleep(_LOOK_SECONDS)


def _fingerprint(question: Question) -> bytes:
    """The same for the same question, streamed or not."""
    kind = type(question).__name__
    return hashlib.sha256(f"{kind}:{question.model_dump_json(exclude_unset=True)}".encode()).digest()
