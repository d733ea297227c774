"""Answers that are told while they are made: they begin again only before their first byte, and never in the middle."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from llm_platform.core.effects import Flow, Read, Request, mapped
from llm_platform.core.requests import as_json
from llm_platform.core.retrying import Retries, opening
from llm_platform.core.server_sent import EventReader, ServerSent
from llm_platform.errors import ConnectionFailed, StreamBroken, told

T = TypeVar("T")

_SILENCE = 180.0
"""Seconds: a model may take a minute to load, and a while to read its input."""
_DONE = "[DONE]"


def answer(
    path: str,
    body: Mapping[str, Any],
    retries: Retries,
    read: Callable[[str], T],
    is_last: Callable[[T], bool] | None = None,
) -> Flow[T]:
    """Each event of the answer, read. It is whole once `[DONE]` has come, or what `is_last`.

    Raises `ConnectionFailed` when it could not begin, `ApiError` for a failure that is told on the way, `StreamBroken`
    when there was no end.
    """
    is_whole = False

    def each(event: ServerSent) -> Iterator[T]:
        nonlocal is_whole
        if event.data == _DONE:
            is_whole = True
            return
        if event.event in ("message", "error"):
            _refuse_errors(event.data)
        item = read(event.data)
        is_whole = is_whole or (is_last is not None and is_last(item))
        yield item

    request = Request("POST", path, headers={"Accept": "text/event-stream"}, body=as_json(body), once=True)
    yield from opening(request, retries, _SILENCE)
    try:
        yield from mapped(_events(), each)
    except ConnectionFailed as error:
        if not is_whole:
            raise _broken() from error
    if not is_whole:
        raise _broken()


def _events() -> Flow[ServerSent]:
    reader = EventReader()
    while data := (yield from Read()):
        yield from reader.feed(data)


def _refuse_errors(data: str) -> None:
    body = json.loads(data)
    if isinstance(body, dict) and body.get("error") and ("status" in body or isinstance(body["error"], dict)):
        raise told(body)


def _broken() -> StreamBroken:
    return StreamBroken("The answer broke off before its end. It cannot be taken up again: ask anew.")
