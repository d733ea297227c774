"""Schedules: when one is due, and what becomes of a start that is due while the run before still goes on.

The moment that a start is due names it: whoever makes the start, and however often it is tried, it is made once.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from cronsim import CronSim, CronSimError

from contracts.base import RefusalCode, Refused
from contracts.triggers import CreateSchedule, Overlap, Schedule, UpdateSchedule
from contracts.workflow_runs import RunInputs
from orchestrator.domain.workflows.triggers import check_kept

_FIELDS = 5
_TIMES = ("cron", "time_zone", "enabled")


@dataclass(frozen=True)
class ScheduleSettings:
    """What a caller says of a schedule. Raises `Refused(INVALID)` where that makes no sense."""

    cron: str
    time_zone: str
    inputs: RunInputs
    overlap: Overlap
    enabled: bool

    def __post_init__(self) -> None:
        errors = [*_zone_errors(self.time_zone), *_cron_errors(self.cron)]
        if errors:
            raise Refused(RefusalCode.INVALID, "Input validation failed", {"errors": errors})
        check_kept(self.inputs)

    def next_at(self, now: datetime) -> datetime | None:
        """When the next start is due after `now`."""
        return next_after(self.cron, self.time_zone, now) if self.enabled else None


@dataclass(frozen=True)
class DueSchedule:
    """A schedule with something to do. `waiting_at` is the start that waits for a run to end; `is_busy` says that the
    run of the last start goes on."""

    id: int
    workflow_id: int
    owner: str
    cron: str
    time_zone: str
    inputs: RunInputs
    overlap: Overlap
    next_at: datetime
    waiting_at: datetime | None
    is_busy: bool


@dataclass(frozen=True)
class Decision:
    """What is done about a schedule: the start that is made now, if any; the one that waits; when the next is due."""

    start: datetime | None
    waiting_at: datetime | None
    next_at: datetime


def decide(schedule: DueSchedule, now: datetime) -> Decision:
    """However many starts were missed, one is made up for: the first of them.

    While the run before goes on, a start that is due is left out, or waits where the schedule says so and none waits
    already.
    """
    due = schedule.next_at if schedule.next_at <= now else None
    next_at = schedule.next_at if due is None else next_after(schedule.cron, schedule.time_zone, now)
    if schedule.is_busy:
        waits = schedule.waiting_at or (due if schedule.overlap == "queue" else None)
        return Decision(None, waits, next_at)
    if schedule.waiting_at is not None:
        return Decision(schedule.waiting_at, due, next_at)
    return Decision(due, None, next_at)


def next_after(cron: str, time_zone: str, now: datetime) -> datetime:
    """The first moment after `now` that `cron` names on the clocks of that zone, in UTC.

    As in Debian's cron: what names hours of the day is neither left out when clocks go forward over it (it is due
    right after) nor done twice when they go back; what comes every hour or minute goes on by the time that passes.
    Raises `Refused(INVALID)` when there is none within fifty years, or no such zone any more.
    """
    try:
        found: datetime = next(CronSim(cron, now.astimezone(ZoneInfo(time_zone))))
    except (StopIteration, OverflowError, ZoneInfoNotFoundError):
        raise Refused(RefusalCode.INVALID, f"The schedule {cron!r} is never due") from None
    return found.astimezone(UTC)


def key_of(schedule_id: int, start: datetime) -> str:
    """Under which a start is made: once."""
    return f"schedule:{schedule_id}:{start.astimezone(UTC).isoformat()}"


def new_settings(request: CreateSchedule) -> ScheduleSettings:
    return ScheduleSettings(request.cron, request.time_zone, request.inputs, request.overlap, request.enabled)


def changed_settings(schedule: Schedule, request: UpdateSchedule) -> ScheduleSettings:
    given = request.model_fields_set
    values: dict[str, Any] = {
        name: getattr(request if name in given else schedule, name)
        for name in ("cron", "time_zone", "inputs", "overlap", "enabled")
    }
    return ScheduleSettings(**values)


def is_retimed(schedule: Schedule, settings: ScheduleSettings) -> bool:
    """Whether what it is due by is another than before."""
    return any(getattr(schedule, name) != getattr(settings, name) for name in _TIMES)


@cache
def _zones() -> frozenset[str]:
    # Without the name of whatever zone this machine is in.
    return frozenset(available_timezones() - {"localtime", "Factory"})


def _zone_errors(time_zone: str) -> list[dict[str, str]]:
    if time_zone in _zones():
        return []
    return [{"field": "time_zone", "message": "must be the IANA name of a time zone, as Europe/Berlin"}]


def _cron_errors(cron: str) -> list[dict[str, str]]:
    if len(cron.split()) != _FIELDS or not cron.isascii():
        message = "must have five fields: minute, hour, day of month, month, day of week"
        return [{"field": "cron", "message": message}]
    try:
        next(CronSim(cron, datetime.now(UTC)))
    except (CronSimError, AssertionError, ValueError, TypeError, OverflowError) as error:
        return [{"field": "cron", "message": str(error) if isinstance(error, CronSimError) else "must be valid"}]
    except StopIteration:
        return [{"field": "cron", "message": "is never due"}]
    return []
