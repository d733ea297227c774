"""Streams that are taken up again where they broke off."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llm_platform.core.effects import Closed, Dial, Flow, Hear, Read, Request, Sleep
from llm_platform.core.retrying import Retries, opening
from llm_platform.core.server_sent import SILENCE, EventReader, ServerSent
from llm_platform.errors import ConnectionFailed, EventsLost, RateLimited, ServerFailed, Unauthenticated

_LEAST = 10
"""Attempts in a row to come back: a platform that restarts takes some seconds."""

_END = "end"
_UNKNOWN, _FORGOTTEN = 4401, 4410


def patient(retries: Retries) -> Retries:
    """For those who stay for long. Who wants no retries at all gets none."""
    return replace(retries, most=max(retries.most, _LEAST)) if retries.most else retries


def follow(request: Request, retries: Retries, after: str | None = None) -> Flow[ServerSent]:
    """Each event once and in order, until the platform says that it was the last, over any number of connections.

    Raises `ConnectionFailed` when it cannot be reached any more.
    """
    retries = patient(retries)
    lost = 0
    while True:
        headers = {**request.headers, "Accept": "text/event-stream", **({"Last-Event-ID": after} if after else {})}
        try:
            yield from opening(replace(request, headers=headers), retries, SILENCE)
            reader = EventReader()
            while data := (yield from Read()):
                for event in reader.feed(data):
                    if event.event == _END:
                        return
                    after, lost = event.id or after, 0
                    yield event
        except ConnectionFailed:
            if lost >= retries.most:
                raise
        if lost > retries.most:
            raise ConnectionFailed("The stream ends again and again before its end")
        yield from Sleep(retries.pause(lost))
        lost += 1


def watch(path: str, query: Mapping[str, str], retries: Retries, after: int | None = None) -> Flow[dict[str, Any]]:
    """Each message of a WebSocket once and in order, over any number of connections, to one that says `end`, if any.

    Without `after`, messages are those from now on. Raises `ConnectionFailed`, `EventsLost`, `Unauthenticated`.
    """
    retries = patient(retries)
    lost = 0
    while True:
        place = {} if after is None else {"last_event_id": str(after)}
        try:
            yield from Dial(path, {**query, **place})
            while isinstance(message := (yield from Hear()), str):
                told = json.loads(message)
                after, lost = told.get("id", after), 0
                yield told
                if told.get("type") == _END:
                    return
            _judge(message)
        except (ConnectionFailed, ServerFailed, RateLimited):
            if lost >= retries.most:
                raise
        yield from Sleep(retries.pause(lost))
        lost += 1


def _judge(closed: Closed) -> None:
    """Returns if it is worth coming back."""
    if closed.code == _FORGOTTEN:
        raise EventsLost(closed.reason)
    if closed.code == _UNKNOWN:
        raise Unauthenticated(401, "UNAUTHORIZED", closed.reason)
    raise ConnectionFailed(f"The connection was closed: {closed.code} {closed.reason}".rstrip())
