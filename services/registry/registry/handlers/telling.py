"""Telling routers that what is served has changed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from common import outbox
from common.database import Connection
from contracts.registry import SERVING_CHANGED, ServingChanged
from registry.handlers.deps import Deps
from registry.store import serving


@asynccontextmanager
async def changing(deps: Deps) -> AsyncIterator[tuple[Connection, int]]:
    """A change of what is served: a transaction in its turn and the revision it makes, told once it commits."""
    async with deps.database.transaction() as connection:
        revision = await serving.take_turn(connection)
        yield connection, revision
        await tell(connection, revision)
    deps.relay.kick()


async def tell(connection: Connection, revision: int) -> None:
    """Told once the transaction has committed; the relay should be kicked then."""
    await outbox.add(connection, SERVING_CHANGED, ServingChanged(revision=revision), message_id=f"serving.{revision}")
