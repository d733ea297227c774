"""From an HTTP request to the message that a row of the table takes. What does not fit is refused field by field."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from math import isinf
from typing import Any, TypeVar
from urllib.parse import parse_qs

from aiohttp import web
from multidict import MultiMapping
from pydantic import ValidationError
from pydantic_core import from_json

from contracts.base import Message, RefusalCode, Refused
from gateway.errors import invalid_fields, invalid_input
from gateway.routes.table import IDEMPOTENCY_HEADER, Route

MessageT = TypeVar("MessageT", bound=Message)

_LONGEST_KEY = 255
_FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 1000
_PAYLOAD = "payload"
_SILENCE_SECONDS = 60.0
"""What a lost connection may keep of others: nobody else would notice it for hours."""


async def read_request(request: web.Request, route: Route) -> Message:
    """The message of `route.request` from path, query and body.

    Raises `Refused`: INVALID with the fields to blame, TOO_LARGE for a body over the limit.
    """
    raw = await read_body(request) if route.body_names else b""
    try:
        if route.body_names and not route.path_names and not request.query_string:
            # The hot path: JSON straight into the model.
            return route.request.model_validate_json(raw)
        return route.request.model_validate(_fields(request, route, raw))
    except ValidationError as error:
        raise invalid_input(error) from None


def fitting(model: type[MessageT], fields: Mapping[str, Any]) -> MessageT:
    """The message with these fields. Raises `Refused(INVALID)`."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise invalid_input(error) from None


def idempotency_key(request: web.Request, header: str = IDEMPOTENCY_HEADER) -> str | None:
    """What the caller names its request by, so that a repeated one is done once. Raises `Refused(INVALID)`."""
    key = request.headers.get(header)
    if key is not None and not (0 < len(key) <= _LONGEST_KEY and key.isascii() and key.isprintable()):
        raise invalid_fields([(header, f"must be 1 to {_LONGEST_KEY} printable ASCII characters")])
    return key


async def read_body(request: web.Request) -> bytes:
    """The body, or `{}` where there is none. Raises `Refused`."""
    raw = await _raw(request)
    _refuse_nul(raw)
    return raw or b"{}"


async def read_any(request: web.Request) -> tuple[bytes, Any]:
    """The body as it came, and what it says: JSON, or the fields of a form; null where there is none.

    Raises `Refused`.
    """
    raw = await _raw(request)
    # Clients that say nothing of what they send are often made to say that it is a form.
    if request.content_type == _FORM and not raw.lstrip().startswith((b"{", b"[")):
        return raw, _form(raw)
    _refuse_nul(raw)
    return raw, _parsed(raw) if raw else None


async def next_piece(reading: Awaitable[bytes]) -> bytes:
    """What comes next of a file. Raises `Refused(TIMEOUT)` where its sender falls silent."""
    try:
        async with asyncio.timeout(_SILENCE_SECONDS):
            return await reading
    except TimeoutError:
        raise Refused(RefusalCode.TIMEOUT, f"Nothing came for {_SILENCE_SECONDS:g} seconds") from None


async def _raw(request: web.Request) -> bytes:
    """To be asked for once."""
    limit, content = request.client_max_size, request.content
    if request.content_length is not None and request.content_length > limit:
        raise too_large(limit)
    try:
        # Nearly always all of it came with the head, and there is nothing to wait for.
        raw = content.read_nowait() if content.is_eof() else await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise too_large(limit) from None
    if len(raw) > limit:
        raise too_large(limit)
    return raw


def _refuse_nul(raw: bytes) -> None:
    # Where none of these stands, a body need not be looked at twice.
    suspect = b"\\u0000" in raw or b"NaN" in raw or b"Infinity" in raw
    if suspect and _holds(_parsed(raw), _has_nul):
        raise invalid_fields([("body", "must not contain NUL characters")])


def _form(raw: bytes) -> Any:
    """Fields by name, those that come more than once as lists; null for none. Some put their JSON into `payload`."""
    try:
        fields = parse_qs(raw.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError as error:
        raise invalid_fields([("body", f"Invalid form: {error}")]) from None
    if not fields:
        return None
    if list(fields) == [_PAYLOAD] and len(fields[_PAYLOAD]) == 1 and fields[_PAYLOAD][0].startswith("{"):
        body: Any = _parsed(fields[_PAYLOAD][0].encode())
    else:
        body = {name: values[0] if len(values) == 1 else values for name, values in fields.items()}
    if _holds(body, _has_nul):
        raise invalid_fields([("body", "must not contain NUL characters")])
    return body


def too_large(limit: int) -> Refused:
    return Refused(RefusalCode.TOO_LARGE, f"The request is too large: {limit} bytes are allowed")


def _fields(request: web.Request, route: Route, raw: bytes) -> dict[str, Any]:
    path = dict(request.match_info)
    query = _query(request.query, route.query_names)
    body = _body(raw, route.body_names) if route.body_names else {}
    if nul := [name for name, value in {**path, **query}.items() if "\0" in value]:
        raise invalid_fields([(name, "must not contain NUL characters") for name in nul])
    return {**body, **query, **path}


def _query(query: MultiMapping[str], names: tuple[str, ...]) -> dict[str, str]:
    errors = [(name, "unknown field") for name in dict.fromkeys(query) if name not in names]
    errors += [(name, "given more than once") for name in names if len(query.getall(name, [])) > 1]
    if errors:
        raise invalid_fields(errors)
    return dict(query)


def _body(raw: bytes, names: tuple[str, ...]) -> dict[str, Any]:
    body = _parsed(raw)
    if not isinstance(body, dict):
        raise invalid_fields([("body", "must be an object")])
    if unknown := [name for name in body if name not in names]:
        raise invalid_fields([(name, "unknown field") for name in unknown])
    return body


def _parsed(raw: bytes) -> Any:
    try:
        # As the models read for themselves: with a bound on nesting, which also holds for whoever is asked.
        value = from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise invalid_fields([("body", f"Invalid JSON: {error}")]) from None
    if _holds(value, _is_infinite):
        raise invalid_fields([("body", "Invalid JSON: a number is too large")])
    return value


def _holds(value: Any, unfit: Callable[[Any], bool]) -> bool:
    """Whether anything in `value`, names included, is unfit."""
    match value:
        case dict():
            return any(_holds(part, unfit) for pair in value.items() for part in pair)
        case list():
            return any(_holds(part, unfit) for part in value)
        case _:
            return unfit(value)


def _is_infinite(value: Any) -> bool:
    return isinstance(value, float) and isinf(value)


def _has_nul(value: Any) -> bool:
    """No text column of Postgres can keep one."""
    return isinstance(value, str) and "\0" in value
