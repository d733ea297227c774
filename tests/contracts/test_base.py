"""What the kinds of contract promise."""

from datetime import datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from contracts.base import Event, EventBody, Message, Timestamp


class Told(EventBody):
    moment: Timestamp


class Asked(Message):
    name: str


def test_a_request_with_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError):
        Asked.model_validate({"name": "a", "nmae": "b"})


def test_an_event_with_an_unknown_field_is_read() -> None:
    assert Told.model_validate({"moment": "2026-01-01T00:00:00Z", "new": 1}).moment.year == 2026


def test_a_moment_is_written_in_utc_with_z() -> None:
    moment = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert '"2026-01-01T00:00:00.000000Z"' in Told(moment=moment).model_dump_json()


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValidationError):
        Told.model_validate({"moment": "2026-01-01T00:00:00"})


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_a_moment_that_utc_does_not_have_is_refused(moment: str) -> None:
    with pytest.raises(ValidationError, match="in UTC"):
        Told.model_validate({"moment": moment})


@pytest.mark.parametrize("key", ["a.b", "*", ">", "a b", ""])
def test_a_key_is_one_token(key: str) -> None:
    with pytest.raises(ValueError, match="not a subject token"):
        Event("events.a", Told, "EVENTS", keyed=True).subject_for(key)


def test_a_keyed_event_needs_its_key() -> None:
    with pytest.raises(ValueError, match="needs key"):
        Event("events.a", Told, "EVENTS", keyed=True).subject_for(None)
