"""Answers that are told while they are made: they begin again only before their first event, never in the middle."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from llm_platform.core.effects import Flow, Read, Request, Sleep, mapped
from llm_platform.core.requests import as_json
from llm_platform.core.retrying import Retries, named, opening
from llm_platform.core.server_sent import SILENCE, EventReader, ServerSent
from llm_platform.errors import ConnectionFailed, StreamBroken, UnexpectedAnswer, told

T = TypeVar("T")

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
    has_begun = is_whole = False

    def each(event: ServerSent) -> Iterator[T]:
        nonlocal has_begun, is_whole
        has_begun = True
        if event.data == _DONE:
            is_whole = True
            return
        if event.event in ("message", "error"):
            _refuse_errors(event.data)
        item = read(event.data)
        is_whole = is_whole or (is_last is not None and is_last(item))
        yield item

    request = named(Request("POST", path, headers={"Accept": "text/event-stream"}, body=as_json(body), once=True))
    lost, reason = 0, None
    while True:
        yield from opening(request, retries, SILENCE)
        try:
            yield from mapped(_events(), each)
        except ConnectionFailed as error:
            reason = error
        if is_whole:
            return
        if has_begun or lost >= retries.most:
            message = "The answer broke off before its end. It cannot be taken up again: ask anew."
            raise StreamBroken(message) from reason
        # It was waited for, and nothing but comments had come.
        yield from Sleep(retries.pause(lost))
        lost += 1


def _events() -> Flow[ServerSent]:
    reader = EventReader()
    while data := (yield from Read()):
        yield from reader.feed(data)


def _refuse_errors(data: str) -> None:
    try:
        body = json.loads(data)
    except ValueError as error:
        raise UnexpectedAnswer(f"An event is no JSON: {data[:200]}") from error
    if isinstance(body, dict) and body.get("error") and ("status" in body or isinstance(body["error"], dict)):
        raise told(body)
