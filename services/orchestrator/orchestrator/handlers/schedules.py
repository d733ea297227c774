"""Schedules for their callers: made, listed, changed, deleted. Their runs are started by `engine.scheduler`."""

from datetime import UTC, datetime

from common.context import current
from common.database import Connection
from contracts import triggers as contract
from contracts.triggers import (
    CreateSchedule,
    GetSchedule,
    ListSchedules,
    Schedule,
    ScheduleDeleted,
    SchedulePage,
    UpdateSchedule,
)
from orchestrator.deps import HANDLERS, Deps
from orchestrator.domain import pages
from orchestrator.domain.actions import failures
from orchestrator.domain.workflows.schedules import changed_settings, is_retimed, new_settings
from orchestrator.domain.workflows.triggers import MOST, not_found, not_yours, too_many
from orchestrator.store import definitions, schedules, workflows


@HANDLERS.on(contract.CREATE_SCHEDULE)
async def create_schedule(deps: Deps, request: CreateSchedule) -> Schedule:
    """Its owner is the caller."""
    settings = new_settings(request)
    async with deps.database.transaction() as connection:
        await definitions.lock(connection)
        await check_workflow(connection, request.workflow_id)
        if await schedules.count(connection, request.workflow_id) >= MOST:
            raise too_many("schedules")
        next_at = settings.next_at(datetime.now(UTC))
        return await schedules.insert(connection, request.workflow_id, current().owner, settings, next_at)


@HANDLERS.on(contract.LIST_SCHEDULES)
async def list_schedules(deps: Deps, request: ListSchedules) -> SchedulePage:
    async with deps.database.connection() as connection:
        await check_workflow(connection, request.workflow_id)
        found, total = await schedules.page(connection, request.workflow_id, limit=request.limit, offset=request.offset)
    return SchedulePage.of(pages.fitting(found), total, request)


@HANDLERS.on(contract.GET_SCHEDULE)
async def get_schedule(deps: Deps, request: GetSchedule) -> Schedule:
    async with deps.database.connection() as connection:
        return await _known(connection, request)


@HANDLERS.on(contract.UPDATE_SCHEDULE)
async def update_schedule(deps: Deps, request: UpdateSchedule) -> Schedule:
    """One that gets other times, or is enabled, is due after now: nothing is made up for."""
    async with deps.database.transaction() as connection:
        schedule = await _own(connection, request)
        settings = changed_settings(schedule, request)
        retimed = is_retimed(schedule, settings)
        next_at = settings.next_at(datetime.now(UTC)) if retimed else None
        return await schedules.update(connection, schedule.id, settings, retimed=retimed, next_at=next_at)


@HANDLERS.on(contract.DELETE_SCHEDULE)
async def delete_schedule(deps: Deps, request: GetSchedule) -> ScheduleDeleted:
    """The runs that it started are kept."""
    async with deps.database.transaction() as connection:
        schedule = await _own(connection, request)
        await schedules.delete(connection, schedule.id)
    return ScheduleDeleted()


async def _own(connection: Connection, request: GetSchedule) -> Schedule:
    """The schedule, locked, which the caller may change. Raises `Refused`."""
    schedule = await _known(connection, request, lock=True)
    check_may_change(schedule.owner)
    return schedule


async def _known(connection: Connection, request: GetSchedule, *, lock: bool = False) -> Schedule:
    schedule = await schedules.get(connection, request.workflow_id, request.schedule_id, lock=lock)
    if schedule is None:
        raise not_found("Schedule", request.schedule_id)
    return schedule


# What webhooks need as well


def check_may_change(owner: str) -> None:
    """Raises `Refused(FORBIDDEN)` unless the caller may change what `owner` has made."""
    if not current().controls(owner):
        raise not_yours()


async def check_workflow(connection: Connection, workflow_id: int) -> None:
    """Raises `Refused(NOT_FOUND)`."""
    if await workflows.get(connection, workflow_id) is None:
        raise failures.not_found("Workflow", workflow_id)
