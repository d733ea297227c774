"""What was asked and answered: from JetStream into Postgres in batches, by day, and to those who may read it."""

import asyncio
import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import cast

from common.bus import Delivered
from common.context import current
from common.telemetry import get_logger
from contracts.base import RefusalCode, Refused
from contracts.interactions import (
    GET_INTERACTION,
    GET_USAGE,
    LIST_INTERACTIONS,
    GetInteraction,
    GetUsage,
    InteractionPage,
    KeptInteraction,
    ListInteractions,
    UsagePage,
)
from contracts.router import Interaction, Interactions
from llm_router.handlers.deps import HANDLERS, Deps
from llm_router.store import engines, partitions
from llm_router.store import interactions as store
from llm_router.store.interactions import Filter, Place, UsageColumn

_log = get_logger("interactions")
_DAYS_AHEAD = 3
_LOOK_SECONDS = 3600.0
_RETRY_SECONDS = 30.0
_USUAL_DAYS = 30
_NOBODY = ""
"""No key has this id."""


@HANDLERS.on(LIST_INTERACTIONS)
async def list_interactions(deps: Deps, request: ListInteractions) -> InteractionPage:
    after = _place(request.cursor) if request.cursor is not None else None
    wanted = Filter(
        _only_of(),
        model=request.model,
        status=request.status,
        since=request.since,
        until=request.until,
        key=request.key,
        engine=request.engine,
        route=request.route,
        trace_id=request.trace_id,
    )
    async with deps.database.connection() as connection:
        found = await store.list_interactions(
            connection, wanted, limit=request.limit + 1, offset=request.offset, after=after
        )
        total = await store.count_interactions(connection, wanted)
    items, has_more = found[: request.limit], len(found) > request.limit
    return InteractionPage(
        items=items,
        total=total,
        limit=request.limit,
        offset=request.offset,
        has_more=has_more,
        next_cursor=_cursor(items[-1]) if has_more else None,
    )


@HANDLERS.on(GET_INTERACTION)
async def get_interaction(deps: Deps, request: GetInteraction) -> KeptInteraction:
    async with deps.database.connection() as connection:
        found = await store.get_interaction(connection, request.interaction_id, _only_of())
    if found is None:
        raise Refused(RefusalCode.NOT_FOUND, f"There is no interaction {request.interaction_id!r}")
    return found


@HANDLERS.on(GET_USAGE)
async def get_usage(deps: Deps, request: GetUsage) -> UsagePage:
    until = request.until or datetime.now(UTC).date()
    since = request.since or until - timedelta(days=_USUAL_DAYS - 1)
    async with deps.database.connection() as connection:
        rows, total = await store.usage(
            connection,
            cast(list[UsageColumn], request.group_by.split(",")),
            model=request.model,
            key=request.key,
            since=since,
            until=until,
            principal=_only_of(),
            limit=request.limit,
            offset=request.offset,
        )
    return UsagePage.of(rows, total, request)


async def keep(deps: Deps, delivered: Sequence[Delivered[Interactions]]) -> None:
    """Writes a batch. Raises `Refused(UNAVAILABLE)` while Postgres is away: the batch then comes again."""
    interactions = [interaction for delivery in delivered for interaction in delivery.body.interactions]
    await _make_missing(deps, _days(interactions))
    try:
        await _write(deps, interactions)
    except Refused:
        raise
    except Exception as error:
        # One that Postgres will never take must not hold back the others.
        _log.warning("batch_refused", size=len(interactions), error=repr(error))
        deps.days.clear()
        for interaction in interactions:
            await _write_alone(deps, interaction)


async def keep_days(deps: Deps) -> None:
    """Makes the partitions of the next days ahead of time, and drops those whose time is over."""
    while True:
        pause = _LOOK_SECONDS
        try:
            await tend_days(deps, datetime.now(UTC).date())
        except Refused as refused:
            _log.info("days_wait", reason=refused.message)
            pause = _RETRY_SECONDS
        await asyncio.sleep(pause)


async def tend_days(deps: Deps, today: date) -> None:
    """As on that day. What is dropped is what began more than the retention's days before it."""
    await _make_missing(deps, {today + timedelta(days=ahead) for ahead in range(_DAYS_AHEAD)})
    if deps.retention_days is None:
        return
    async with deps.database.transaction() as connection:
        dropped = await partitions.drop_days(connection, today - timedelta(days=deps.retention_days))
    deps.days.difference_update(dropped)
    if dropped:
        _log.info("interactions_dropped", days=[day.isoformat() for day in dropped])


async def _make_missing(deps: Deps, days: set[date]) -> None:
    """`deps.days` are those known to have a partition, so that mostly nobody is asked."""
    if days <= deps.days:
        return
    async with deps.database.transaction() as connection:
        await partitions.make_days(connection, days)
    deps.days.update(days)


async def _write_alone(deps: Deps, interaction: Interaction) -> None:
    try:
        await _make_missing(deps, _days([interaction]))
        await _write(deps, [interaction])
    except Refused:
        raise
    except Exception as error:
        _log.error("interaction_refused", interaction_id=interaction["interaction_id"], error=repr(error))


async def _write(deps: Deps, interactions: Sequence[Interaction]) -> None:
    async with deps.database.transaction() as connection:
        await store.add_interactions(connection, interactions)
        await engines.note_use(connection, _last_used(interactions))


def _days(interactions: Sequence[Interaction]) -> set[date]:
    return {date.fromisoformat(day) for day in {interaction["created_at"][:10] for interaction in interactions}}


def _last_used(interactions: Sequence[Interaction]) -> list[tuple[str, datetime]]:
    latest: dict[str, str] = {}
    for interaction in interactions:
        if (engine := interaction["engine"]) is not None:
            # Moments of one form come in the order of their texts.
            latest[engine] = max(latest.get(engine, ""), interaction["created_at"])
    # In order of name, so that two replicas lock the rows in the same order.
    return [(engine, datetime.fromisoformat(moment)) for engine, moment in sorted(latest.items())]


def _only_of() -> str | None:
    """Whose interactions the caller may see: an administrator all, everybody else their own."""
    principal = current().principal
    if principal is not None and principal.role == "admin":
        return None
    return principal.id if principal is not None else _NOBODY


def _cursor(last: KeptInteraction) -> str:
    return base64.urlsafe_b64encode(
        f"{last.created_at.astimezone(UTC).isoformat()} {last.interaction_id}".encode()
    ).decode()


def _place(cursor: str) -> Place:
    try:
        moment, interaction_id = base64.urlsafe_b64decode(cursor).decode().split(" ")
        if not moment.endswith("+00:00") or not interaction_id.isalnum():
            raise ValueError("not made by us")
        return Place(datetime.fromisoformat(moment), interaction_id)
    except (ValueError, binascii.Error):
        message = "cursor must be the next_cursor of an earlier page"
        raise Refused(RefusalCode.INVALID, message, {"errors": [{"field": "cursor", "message": message}]}) from None
