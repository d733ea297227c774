"""API keys: made, listed, revoked."""

from typing import cast

from aiohttp import web

from common.context import current
from contracts.base import RefusalCode, Refused
from gateway import store
from gateway.deps import Deps
from gateway.domain.keys import ApiKeyPage, CreatedApiKey, ListApiKeys, NamedApiKey, NewApiKey, mint
from gateway.edge.reading import read_request
from gateway.edge.responses import respond
from gateway.routes.table import Route


async def create_key(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    new = cast(NewApiKey, await read_request(request, route))
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
    return respond(
        route,
        ApiKeyPage(
            items=items,
            total=total,
            limit=asked.limit,
            offset=asked.offset,
            has_more=asked.offset + len(items) < total,
        ),
    )


async def revoke_key(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    asked = cast(NamedApiKey, await read_request(request, route))
    async with deps.database.transaction() as connection:
        key = await store.revoke_key(connection, asked.key_id)
    if key is None:
        raise Refused(RefusalCode.NOT_FOUND, f"There is no API key {asked.key_id}", {"key_id": asked.key_id})
    await _known_at_once(deps)
    return respond(route, key)


async def _known_at_once(deps: Deps) -> None:
    # This process knows before it answers; the others hear of it as fast as the relay tells them.
    deps.relay.kick()
    await deps.keyring.reload()
