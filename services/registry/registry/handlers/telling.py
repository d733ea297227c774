"""Telling routers that what is served has changed."""

from common import outbox
from common.database import Connection
from contracts.registry import SERVING_CHANGED, ServingChanged


async def tell(connection: Connection, revision: int) -> None:
    """Told once the transaction has committed; the relay should be kicked then."""
    await outbox.add(connection, SERVING_CHANGED, ServingChanged(revision=revision), message_id=f"serving.{revision}")
