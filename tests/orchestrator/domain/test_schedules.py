"""When schedules are due: by the clocks of their zone, whatever these do, and however long nobody looked."""

from datetime import UTC, datetime, timedelta

import pytest

from contracts.base import Refused
from contracts.triggers import Overlap
from orchestrator.domain.workflows.schedules import Decision, DueSchedule, ScheduleSettings, decide, next_after

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
NIGHTLY = "30 2 * * *"


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def starts(cron: str, zone: str, after: str, count: int) -> list[str]:
    """The next starts, in UTC."""
    found, at = [], moment(after)
    for _ in range(count):
        at = next_after(cron, zone, at)
        found.append(at.strftime("%d %H:%M"))
    return found


def settings(cron: str = NIGHTLY, zone: str = "UTC") -> ScheduleSettings:
    return ScheduleSettings(cron, zone, {}, "skip", enabled=True)


def schedule(overlap: Overlap = "skip", *, is_busy: bool = False, waiting_at: datetime | None = None) -> DueSchedule:
    """One that is due at noon each day, and has been at noon of the fourth."""
    return DueSchedule(1, 1, "o", "0 12 * * *", "UTC", {}, overlap, NOON, waiting_at, is_busy)


def test_a_start_follows_the_clocks_of_its_zone_over_the_year() -> None:
    assert starts("0 9 * * *", "Europe/Berlin", "2026-01-10T00:00", 1) == ["10 08:00"]
    assert starts("0 9 * * *", "Europe/Berlin", "2026-07-10T00:00", 1) == ["10 07:00"]
    assert starts("0 9 * * *", "Asia/Kolkata", "2026-07-10T00:00", 1) == ["10 03:30"]


def test_a_time_that_clocks_leave_out_in_spring_is_due_right_after() -> None:
    # In Berlin 02:00 is followed by 03:00 on March 29, 2026, at 01:00 UTC.
    assert starts(NIGHTLY, "Europe/Berlin", "2026-03-28T00:00", 3) == ["28 01:30", "29 01:00", "30 00:30"]


def test_a_time_that_clocks_show_twice_in_autumn_is_due_once() -> None:
    # In Berlin 03:00 is followed by 02:00 on October 25, 2026, at 01:00 UTC.
    assert starts(NIGHTLY, "Europe/Berlin", "2026-10-24T00:00", 3) == ["24 00:30", "25 00:30", "26 01:30"]


def test_what_comes_every_hour_goes_on_by_the_time_that_passes() -> None:
    hours = ["24 23:00", "25 00:00", "25 01:00", "25 02:00"]
    assert starts("0 * * * *", "Europe/Berlin", "2026-10-24T22:30", 4) == hours


@pytest.mark.parametrize(
    "cron",
    ["* * * *", "* * * * * *", "@daily", "60 * * * *", "0 0 30 2 *", "a b c d e", "1-L * * * *", "²L * * * *"],
)
def test_what_is_no_schedule_is_refused(cron: str) -> None:
    with pytest.raises(Refused) as refused:
        settings(cron)
    assert refused.value.metadata["errors"][0]["field"] == "cron"


@pytest.mark.parametrize("zone", ["Nowhere/Land", "localtime", "../etc/passwd", "europe/berlin"])
def test_a_zone_has_an_iana_name(zone: str) -> None:
    with pytest.raises(Refused) as refused:
        settings(zone=zone)
    assert refused.value.metadata["errors"][0]["field"] == "time_zone"


def test_of_many_missed_starts_one_is_made_up_for() -> None:
    later = NOON + timedelta(days=10, hours=1)
    assert decide(schedule(), later) == Decision(NOON, None, NOON + timedelta(days=11))


def test_a_start_that_is_due_while_the_run_before_goes_on_is_left_out() -> None:
    assert decide(schedule(is_busy=True), NOON) == Decision(None, None, NOON + timedelta(days=1))


def test_or_waits_for_its_end_and_then_is_made() -> None:
    tomorrow = NOON + timedelta(days=1)
    assert decide(schedule("queue", is_busy=True), NOON) == Decision(None, NOON, tomorrow)
    ended = DueSchedule(1, 1, "o", "0 12 * * *", "UTC", {}, "queue", tomorrow, NOON, is_busy=False)
    assert decide(ended, NOON + timedelta(hours=1)) == Decision(NOON, None, tomorrow)


def test_one_start_waits_at_most() -> None:
    before = NOON - timedelta(days=1)
    waiting = schedule("queue", is_busy=True, waiting_at=before)
    assert decide(waiting, NOON) == Decision(None, before, NOON + timedelta(days=1))


def test_a_start_that_is_due_when_one_that_waited_is_made_waits_in_its_turn() -> None:
    before = NOON - timedelta(days=1)
    assert decide(schedule("queue", waiting_at=before), NOON) == Decision(before, NOON, NOON + timedelta(days=1))
