"""API keys: made, listed, changed, revoked."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import cast

from aiohttp import web

from common.context import current
from contracts.base import RefusalCode, Refused
from gateway.deps import Deps
from gateway.domain.keys import (
    ApiKey,
    ApiKeyPage,
    ChangedApiKey,
    CreatedApiKey,
    ListApiKeys,
    NamedApiKey,
    NewApiKey,
    ReplacedApiKey,
    mint,
)
from gateway.edge.reading import read_request
from gateway.edge.responses import respond
from gateway.errors import invalid_fields
from gateway.routes.table import Route
from gateway.store import keys as store


async def create_key(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    new = cast(NewApiKey, await read_request(request, route))
    if new.expires_at is not None and new.expires_at <= datetime.now(UTC):
        raise invalid_fields([("expires_at", "must be in the future")])
    minted = mint()
    caller = current().principal
    async with deps.database.transaction() as connection:
        key = await store.add_key(connection, minted, new, created_by=caller.id if caller else "")
    await _known_at_once(deps)
    return respond(route, CreatedApiKey(**key.model_dump(), key=minted.text))


async def list_keys(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    asked = cast(ListApiKeys, await read_request(request, route))
    async with deps.database.connection() as connection:
        items, total = await store.list_keys(
            connection, asked.limit, asked.offset, include_revoked=asked.include_revoked
        )
    return respond(route, ApiKeyPage.of(items, total, asked))


async def get_key(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    asked = cast(NamedApiKey, await read_request(request, route))
    async with deps.database.connection() as connection:
        key = await store.get_key(connection, asked.key_id)
    if key is None:
        raise _no_key(asked.key_id)
    return respond(route, key)


async def replace_key(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    asked = cast(ReplacedApiKey, await read_request(request, route))
    new = NewApiKey.model_validate(asked.model_dump(exclude={"key_id"}))
    return respond(route, await _change(deps, asked.key_id, lambda _: new))


async def change_key(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    asked = cast(ChangedApiKey, await read_request(request, route))
    return respond(route, await _change(deps, asked.key_id, asked.applied_to))


async def _change(deps: Deps, key_id: str, becomes: Callable[[ApiKey], NewApiKey]) -> ApiKey:
    async with deps.database.transaction() as connection:
        key = await store.lock_key(connection, key_id)
        if key is None:
            raise _no_key(key_id)
        if key.revoked_at is not None:
            raise Refused(RefusalCode.CONFLICT, f"The API key {key_id} was revoked", {"key_id": key_id})
        changed = await store.change_key(connection, key_id, becomes(key))
    await _known_at_once(deps)
    return changed


async def revoke_key(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    asked = cast(NamedApiKey, await read_request(request, route))
    async with deps.database.transaction() as connection:
        key = await store.revoke_key(connection, asked.key_id)
    if key is None:
        raise _no_key(asked.key_id)
    await _known_at_once(deps)
    return respond(route, key)


def _no_key(key_id: str) -> Refused:
    return Refused(RefusalCode.NOT_FOUND, f"There is no API key {key_id}", {"key_id": key_id})


async def _known_at_once(deps: Deps) -> None:
    # This process knows before it answers; the others hear of it as fast as the relay tells them.
    deps.relay.kick()
    await deps.keyring.reload()
