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
from gateway.edge.noted import SESSION
from gateway.edge.reading import read_request
from gateway.edge.responses import respond
from gateway.errors import invalid_fields
from gateway.routes.table import Route
from gateway.store import people as store

_WRONG = "The name or the password is wrong"


async def log_in(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    _check_origin(request)
    asked = cast(Credentials, await read_request(request, route))
    await deps.rates.count_login(asked.name, deps.proxies.origin(request))
    user, kept = await _known(deps, asked)
    token, cap = new_token(), deps.settings.session_cap_seconds
    async with deps.database.transaction() as connection:
        ends_at = await store.begin_session(connection, digest(token), user.user_id, kept, cap)
    if ends_at is None:
        raise Refused(RefusalCode.UNAUTHENTICATED, _WRONG)
    response = respond(route, LoggedIn(user=user, csrf_token=csrf_token(token), expires_at=ends_at))
    cookies.begin(response, token, seconds=int(cap), secure=_over_tls(deps, request))
    return response


def _check_origin(request: web.Request) -> None:
    """Another site's page must not log its visitor in as somebody else.

    Browsers say where a request comes from, though not to plain HTTP hosts. JSON they send from elsewhere only to
    those who allow it beforehand, and this gateway allows it to nobody.
    """
    if request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
        raise Refused(RefusalCode.FORBIDDEN, "Logging in from another site is not allowed")
    if request.content_type != "application/json":
        raise invalid_fields([("body", "must be sent as application/json")])


def _over_tls(deps: Deps, request: web.Request) -> bool:
    return deps.settings.secure_cookies or deps.proxies.is_https(request)


async def _known(deps: Deps, asked: Credentials) -> tuple[User, str]:
    """The user, and the hash of the password as it is kept now.

    Raises `Refused(UNAUTHENTICATED)`, after the same time and in the same words whatever is wrong.
    """
    async with deps.database.connection() as connection:
        found = await store.find_password(connection, asked.name)
    user, kept = found or (None, None)
    fits = await deps.passwords.fits(asked.password, kept)
    if not fits or user is None or kept is None or user.disabled:
        raise Refused(RefusalCode.UNAUTHENTICATED, _WRONG)
    if deps.passwords.is_outdated(kept):
        renewed = await deps.passwords.hash(asked.password)
        async with deps.database.connection() as connection:
            kept = renewed if await store.renew_hash(connection, user.user_id, kept, renewed) else kept
    return user, kept


async def log_out(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    token = _session(request)
    async with deps.database.transaction() as connection:
        ended = await store.end_session(connection, digest(token))
    return _ended(deps, route, request, ended)


async def log_out_everywhere(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    _session(request)
    async with deps.database.transaction() as connection:
        ended = await store.end_sessions(connection, _principal().id)
    return _ended(deps, route, request, ended)


def _ended(deps: Deps, route: Route, request: web.Request, ended: int) -> web.StreamResponse:
    _known_at_once(deps)
    response = respond(route, LoggedOut(ended=ended))
    cookies.end(response, secure=_over_tls(deps, request))
    return response


async def change_password(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    token = _session(request)
    asked = cast(ChangedPassword, await read_request(request, route))
    principal = _principal()
    await deps.rates.count_login(principal.name, deps.proxies.origin(request))
    async with deps.database.connection() as connection:
        found = await store.find_password(connection, principal.name)
    if found is None or not await deps.passwords.fits(asked.password, found[1]):
        raise _not_yours()
    password = await deps.passwords.hash(asked.new_password)
    async with deps.database.transaction() as connection:
        user = await store.replace_password(connection, principal.id, found[1], password)
        if user is None:
            raise _not_yours()
        await store.end_sessions(connection, user.user_id, but=digest(token))
    _known_at_once(deps)
    return respond(route, user)


def _not_yours() -> Refused:
    return invalid_fields([("password", "is not your password")])


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
