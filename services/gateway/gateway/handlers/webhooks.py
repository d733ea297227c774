"""Webhooks as other systems call them: known by the secret in their URL, answered in the name of their owner."""

import hashlib
import hmac
from typing import cast

from aiohttp import web

from common.context import calling, current
from contracts.base import RefusalCode, Refused
from contracts.triggers import DELIVER_WEBHOOK, OPEN_WEBHOOK, DeliverWebhook, OpenedWebhook, OpenWebhook
from gateway.deps import Deps
from gateway.domain import keys
from gateway.edge.noted import PRINCIPAL, STANDING
from gateway.edge.reading import fitting, idempotency_key, read_any, read_request, too_large
from gateway.edge.responses import respond
from gateway.limits import Caller
from gateway.limits.rates import refusal
from gateway.routes.table import Route
from gateway.routes.triggers import CallWebhook

_MOST_BYTES = 1 << 20
_SIGNATURE = "X-Hub-Signature-256"
_SCHEME = "sha256="
_DELIVERIES = ("Webhook-Id", "X-GitHub-Delivery")
"""What senders call a delivery by, besides an `Idempotency-Key`."""


async def call_webhook(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    """Only then is the owner's limit touched when it is known that the sender may call."""
    called = cast(CallWebhook, await read_request(request, route))
    raw, body = await read_any(request)
    if len(raw) > _MOST_BYTES:
        raise too_large(_MOST_BYTES)
    opened = await deps.bus.ask(OPEN_WEBHOOK, fitting(OpenWebhook, {"token": called.hook_id}))
    _check_signature(opened, request, raw)
    owner = await _owner(deps, opened)
    await _count(deps, route, request, owner)
    call = current()._replace(principal=owner.principal, idempotency_key=_delivery(request, opened))
    with calling(call):
        delivery = DeliverWebhook(webhook_id=opened.webhook_id, body=body)
        return respond(route, await deps.bus.ask(DELIVER_WEBHOOK, delivery))


def _check_signature(opened: OpenedWebhook, request: web.Request, raw: bytes) -> None:
    """Raises `Refused(UNAUTHENTICATED)`. Takes a time that tells nothing about the right signature."""
    if opened.signing_secret is None:
        return
    right = _SCHEME + hmac.new(opened.signing_secret.encode(), raw, hashlib.sha256).hexdigest()
    given = request.headers.get(_SIGNATURE, "")
    if not hmac.compare_digest(given.encode(errors="surrogateescape"), right.encode()):
        wanted = f"{_SCHEME} and the HMAC-SHA256 of the body under the signing secret, in hexadecimal"
        raise Refused(RefusalCode.UNAUTHENTICATED, f"The header {_SIGNATURE} must be {wanted}")


async def _owner(deps: Deps, opened: OpenedWebhook) -> Caller:
    """Raises `Refused(NOT_FOUND)`, as for a webhook that is disabled, once the owner may start nothing any more."""
    closed = Refused(RefusalCode.NOT_FOUND, "There is no such webhook")
    try:
        owner = await deps.callers.get(opened.owner)
    except Refused as refused:
        raise (closed if refused.code is RefusalCode.NOT_FOUND else refused) from None
    if not keys.may(owner.principal.role, "member"):
        raise closed
    return owner


async def _count(deps: Deps, route: Route, request: web.Request, owner: Caller) -> None:
    """Counts against the owner's limit, besides that of the address. Raises `Refused(RATE_LIMITED)`."""
    request[PRINCIPAL] = owner.principal
    standing = await deps.rates.count(owner, "", route)
    if standing is not None:
        request[STANDING] = standing
        if not standing.admitted:
            raise refusal(standing)


def _delivery(request: web.Request, opened: OpenedWebhook) -> str | None:
    """The key under which the run is started; None where the sender does not tell its deliveries apart."""
    given = [current().idempotency_key, *(idempotency_key(request, header) for header in _DELIVERIES)]
    named = next(filter(None, given), None)
    return None if named is None else f"webhook:{opened.webhook_id}:{named}"
