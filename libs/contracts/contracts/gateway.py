"""Who may call, and what the gateway tells of it: changes to its API keys, so that every process reads them again."""

from typing import Literal

from contracts.base import Event, EventBody

Role = Literal["admin", "member", "viewer"]
"""What a caller may do: a viewer reads, a member also writes, an admin does all."""


class KeyChanged(EventBody):
    key_id: str


KEY_CHANGED = Event("events.gateway.key.changed", KeyChanged, stream="EVENTS")
