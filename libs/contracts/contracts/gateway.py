"""What the gateway tells: changes to who may call (its API keys), so that every gateway process reads them again."""

from contracts.base import Event, EventBody


class KeyChanged(EventBody):
    key_id: str


KEY_CHANGED = Event("events.gateway.key.changed", KeyChanged, stream="EVENTS")
