"""Users: made, listed, changed, removed by an administrator."""

import uuid
from typing import cast

from aiohttp import web

from common.database import UniqueViolation
from contracts.base import RefusalCode, Refused
from gateway.deps import Deps
from gateway.domain.people import ChangedUser, ListUsers, NamedUser, NewUser, UserPage, ends_sessions
from gateway.edge.reading import read_request
from gateway.edge.responses import respond
from gateway.routes.table import Route
from gateway.store import people as store


async def create_user(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    new = cast(NewUser, await read_request(request, route))
    password = await deps.passwords.hash(new.password)
    try:
        async with deps.database.transaction() as connection:
            user = await store.add_user(connection, f"user_{uuid.uuid4().hex[:12]}", new, password)
    except UniqueViolation:
        raise _taken(new.name) from None
    return respond(route, user)


async def list_users(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    asked = cast(ListUsers, await read_request(request, route))
    async with deps.database.connection() as connection:
        items, total = await store.list_users(connection, asked.limit, asked.offset)
    return respond(route, UserPage.of(items, total, asked))


async def get_user(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    asked = cast(NamedUser, await read_request(request, route))
    async with deps.database.connection() as connection:
        user = await store.get_user(connection, asked.user_id)
    if user is None:
        raise _no_user(asked.user_id)
    return respond(route, user)


async def change_user(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    asked = cast(ChangedUser, await read_request(request, route))
    password = None if asked.password is None else await deps.passwords.hash(asked.password)
    try:
        async with deps.database.transaction() as connection:
            before = await store.get_user(connection, asked.user_id, lock=True)
            if before is None:
                raise _no_user(asked.user_id)
            user = await store.change_user(connection, asked.applied_to(before), password)
            if ends_sessions(before, user, new_password=password is not None):
                await store.end_sessions(connection, user.user_id)
    except UniqueViolation:
        raise _taken(asked.name or "") from None
    _known_at_once(deps, user.user_id)
    return respond(route, user)


async def remove_user(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    asked = cast(NamedUser, await read_request(request, route))
    async with deps.database.transaction() as connection:
        user = await store.remove_user(connection, asked.user_id)
    if user is None:
        raise _no_user(asked.user_id)
    _known_at_once(deps, user.user_id)
    return respond(route, user)


def _known_at_once(deps: Deps, user_id: str) -> None:
    deps.relay.kick()
    deps.sessions.forget(user_id)


def _no_user(user_id: str) -> Refused:
    return Refused(RefusalCode.NOT_FOUND, f"There is no user {user_id}", {"user_id": user_id})


def _taken(name: str) -> Refused:
    return Refused(RefusalCode.CONFLICT, f"There is a user {name!r} already", {"name": name})
