"""Sessions: begun with a name and a password, ended here or everywhere; and who it is that calls."""

from typing import Literal, cast

from aiohttp import web

from common.context import Principal, current
from contracts.base import RefusalCode, Refused
from gateway.deps import Deps
from gateway.domain.people import (
    ChangedPassword,
    Credentials,
    LoggedIn,
    LoggedOut,
    Me,
    User,
    csrf_token,
    digest,
    new_token,
)
from gateway.edge import cookies
from gateway.edge.access import ADMIN
from gateway.edge.observing import SESSION
from gateway.edge.reading import read_request
from gateway.edge.responses import respond
from gateway.errors import invalid_fields
from gateway.routes.table import Route
from gateway.store import people as store

_WRONG = "The name or the password is wrong"


async def log_in(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        # Another site's page must not log its visitor in as somebody else.
        raise Refused(RefusalCode.FORBIDDEN, "Logging in from another site is not allowed")
    asked = cast(Credentials, await read_request(request, route))
    await deps.rates.count_login(asked.name, deps.proxies.origin(request))
    user = await _known(deps, asked)
    token = new_token()
    async with deps.database.transaction() as connection:
        ends_at = await store.begin_session(connection, digest(token), user.user_id, deps.settings.session_cap_seconds)
    response = respond(route, LoggedIn(user=user, csrf_token=csrf_token(token), expires_at=ends_at))
    seconds = int(deps.settings.session_cap_seconds)
    cookies.begin(response, token, seconds=seconds, secure=deps.proxies.is_https(request))
    return response


async def _known(deps: Deps, asked: Credentials) -> User:
    """Raises `Refused(UNAUTHENTICATED)`, after the same time and in the same words whatever is wrong."""
    async with deps.database.connection() as connection:
        found = await store.find_password(connection, asked.name)
    user, kept = found or (None, None)
    fits = await deps.passwords.fits(asked.password, kept)
    if not fits or user is None or kept is None or user.disabled:
        raise Refused(RefusalCode.UNAUTHENTICATED, _WRONG)
    if deps.passwords.is_outdated(kept):
        renewed = await deps.passwords.hash(asked.password)
        async with deps.database.connection() as connection:
            await store.put_password(connection, user.user_id, renewed)
    return user


async def log_out(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    token = _session(request)
    async with deps.database.transaction() as connection:
        ended = await store.end_session(connection, digest(token))
    return _ended(deps, route, ended)


async def log_out_everywhere(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    _session(request)
    async with deps.database.transaction() as connection:
        ended = await store.end_sessions(connection, _principal().id)
    return _ended(deps, route, ended)


def _ended(deps: Deps, route: Route, ended: int) -> web.StreamResponse:
    _known_at_once(deps)
    response = respond(route, LoggedOut(ended=ended))
    cookies.end(response)
    return response


async def change_password(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    token = _session(request)
    asked = cast(ChangedPassword, await read_request(request, route))
    principal = _principal()
    await deps.rates.count_login(principal.name, deps.proxies.origin(request))
    async with deps.database.connection() as connection:
        found = await store.find_password(connection, principal.name)
    if found is None or not await deps.passwords.fits(asked.password, found[1]):
        raise invalid_fields([("password", "is not your password")])
    password = await deps.passwords.hash(asked.new_password)
    async with deps.database.transaction() as connection:
        user = await store.change_user(connection, found[0], password)
        await store.end_sessions(connection, user.user_id, but=digest(token))
    _known_at_once(deps)
    return respond(route, user)


async def who_am_i(_deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    principal = _principal()
    token: str | None = request.get(SESSION)
    key: Literal["admin_key", "api_key"] = "admin_key" if principal.id == ADMIN.id else "api_key"
    return respond(
        route,
        Me(
            id=principal.id,
            name=principal.name,
            role=principal.role,
            kind="session" if token is not None else key,
            response_style=principal.response_style,
            csrf_token=csrf_token(token) if token is not None else None,
        ),
    )


def _session(request: web.Request) -> str:
    token: str | None = request.get(SESSION)
    if token is None:
        raise Refused(RefusalCode.CONFLICT, "A key has no session: log in to have one")
    return token


def _principal() -> Principal:
    principal = current().principal
    assert principal is not None  # noqa: S101 - these rows need a role
    return principal


def _known_at_once(deps: Deps) -> None:
    # This process knows before it answers; the others hear of it as fast as the relay tells them.
    deps.relay.kick()
    deps.sessions.forget(_principal().id)
