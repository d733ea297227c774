"""The API keys that may be used, in memory: read again whenever one changes, and from time to time in any case."""

import asyncio
from collections.abc import Mapping

from common.bus import Bus
from common.database import Database
from common.telemetry import Gauge, get_logger
from contracts.base import Refused
from contracts.gateway import KEY_CHANGED
from gateway import store
from gateway.domain.keys import StoredKey

_log = get_logger("keyring")

ACTIVE_KEYS = Gauge("gateway_api_keys", "API keys that may be used, as this process knows them")


class Keyring:
    """A snapshot of the valid keys. While the database is away the last one holds."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._bus = bus
        self._keys: Mapping[str, StoredKey] = {}

    def find(self, key_id: str) -> StoredKey | None:
        return self._keys.get(key_id)

    async def reload(self) -> None:
        """Reads all valid keys. Raises `Refused` when the database is away."""
        async with self._database.connection() as connection:
            found = await store.valid_keys(connection)
        self._keys = {stored.key.key_id: stored for stored in found}
        ACTIVE_KEYS.set(len(self._keys))

    async def follow_changes(self) -> None:
        """Reloads when any gateway process made or revoked a key, until cancelled."""
        async for _ in self._bus.follow(KEY_CHANGED):
            await self._reload_or_keep()

    async def reload_every(self, seconds: float) -> None:
        """Reloads from time to time, in case a change went unheard, until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            await self._reload_or_keep()

    async def _reload_or_keep(self) -> None:
        try:
            await self.reload()
        except Refused as refusal:
            _log.warning("keys_not_reloaded", error=refusal.message)
