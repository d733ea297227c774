"""The API keys that may be used, in memory: read again whenever one changes, and from time to time in any case."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from common.bus import Bus
from common.context import Principal
from common.database import Database
from common.telemetry import Gauge, get_logger
from contracts.base import RefusalCode, Refused
from contracts.gateway import KEY_CHANGED
from gateway.domain.keys import StoredKey, opens, parse
from gateway.limits import Caller
from gateway.store import keys as store

_log = get_logger("keyring")

ACTIVE_KEYS = Gauge("gateway_api_keys", "API keys that may be used, as this process knows them")


@dataclass(frozen=True)
class KeyHolder:
    """A key that may be used, and who calls with it."""

    stored: StoredKey
    caller: Caller


def _holder(stored: StoredKey) -> KeyHolder:
    key = stored.key
    models = None if key.allowed_models is None else tuple(key.allowed_models)
    principal = Principal(
        id=key.key_id,
        name=key.name,
        role=key.role,
        response_style=key.response_style,
        models=models,
        budget=key.budget,
    )
    return KeyHolder(stored, Caller(principal, key.requests_per_minute))


class Keyring:
    """A snapshot of the valid keys. While the database is away the last one holds."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._bus = bus
        self._keys: Mapping[str, KeyHolder] = {}

    def holder(self, credential: str) -> KeyHolder | None:
        """Who calls with `credential`, None where it is no key. Raises `Refused(UNAUTHENTICATED)` if it has expired."""
        parsed = parse(credential)
        found = self._keys.get(parsed[0]) if parsed else None
        if parsed is None or found is None or not opens(parsed[1], found.stored.digest):
            return None
        if found.stored.has_expired(datetime.now(UTC)):
            raise Refused(RefusalCode.UNAUTHENTICATED, "The API key has expired")
        return found

    def named(self, key_id: str) -> KeyHolder | None:
        """Who calls with the key of that id, if it may be used now."""
        found = self._keys.get(key_id)
        return None if found is None or found.stored.has_expired(datetime.now(UTC)) else found

    async def reload(self) -> None:
        """Reads all valid keys. Raises `Refused` when the database is away."""
        async with self._database.connection() as connection:
            found = await store.valid_keys(connection)
        self._keys = {stored.key.key_id: _holder(stored) for stored in found}
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
