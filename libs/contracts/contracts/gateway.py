"""Who may call, for how much, and what the gateway tells of it, so that every process knows when that changes."""

from typing import Literal

from pydantic import Field, model_validator

from contracts.base import Event, EventBody, Message, RefusalCode, Rpc

Role = Literal["admin", "member", "viewer"]
"""What a caller may do: a viewer reads, a member also writes, an admin does all."""

ResponseStyle = Literal["envelope", "plain"]
"""The form of `GET /api/v1/llm/actions` that a caller gets: document A's envelope or document B's bare array."""

Period = Literal["day", "month", "total"]
"""What a budget is for: each day or month of the calendar, in UTC, or once and for all."""


class Budget(Message):
    """The most that may be spent in a period, in US dollars, in tokens, or in both."""

    usd: float | None = Field(default=None, ge=0, le=1_000_000_000)
    tokens: int | None = Field(default=None, ge=0, le=2**53)
    period: Period = "month"

    @model_validator(mode="after")
    def _limits_something(self) -> "Budget":
        if self.usd is None and self.tokens is None:
            raise ValueError("name `usd`, `tokens` or both")
        return self


class KeyChanged(EventBody):
    key_id: str


class PersonChanged(EventBody):
    """A user was changed or removed, or some of the user's sessions ended."""

    user_id: str


class AllowanceWanted(EventBody):
    """A process has nothing left of a limit: whoever holds unspent parts of it gives them back."""

    account: str
    wanted_by: str


class GetCaller(Message):
    caller_id: str = Field(max_length=64)


class Caller(Message):
    """Who may call, as the one whom others know by `id`: an API key or a user, with what limits it now."""

    id: str
    name: str
    role: Role
    models: tuple[str, ...] | None = None
    budget: Budget | None = None


GET_CALLER = Rpc("gateway.v1.callers.get", GetCaller, Caller, refusals=(RefusalCode.NOT_FOUND,))
"""Refused for who may not call any more: what was to be done on that one's behalf is left."""

KEY_CHANGED = Event("events.gateway.key.changed", KeyChanged, stream="EVENTS")
PERSON_CHANGED = Event("events.gateway.person.changed", PersonChanged, stream="EVENTS")
# Each service counts limits of its own, in its own schema.
ALLOWANCE_WANTED = Event("events.gateway.allowance.wanted", AllowanceWanted, stream="EVENTS")
