"""Everything that can go wrong, as one small tree.

PlatformError
├── ConnectionFailed       no answer came, or it was cut off
│   ├── NotSent            the platform was not reached at all
│   └── TimedOut           … in time
├── StreamBroken           a stream broke off where it cannot be taken up again
├── EventsLost             what was missed is not kept any more
├── ChecksumMismatch       the bytes that arrived are not those that were sent
├── UnexpectedAnswer       the platform's answer has not the form that this client knows
├── JobFailed              a job that was waited for has failed, was cancelled, or made no model
├── NotThereYet            what was asked for will be there later
├── NotConfigured          there is no key, or a setting is not valid
└── ApiError               the platform refused: status, code, message, metadata, request_id
    ├── InvalidRequest     400
    ├── Unauthenticated    401
    ├── Forbidden          403
    ├── NotFound           404
    ├── Conflict           409
    ├── TooLarge           413
    ├── RateLimited        429
    │   └── QuotaExhausted … and waiting for a moment does not help
    └── ServerFailed       5xx
        ├── EngineFailed   502
        ├── Unavailable    503
        └── DeadlinePassed 504
"""

import json
from collections.abc import Mapping
from typing import Any


class PlatformError(Exception):
    """Whatever this client raises."""


class ConnectionFailed(PlatformError):
    """No answer came, or it was cut off."""


class NotSent(ConnectionFailed):
    """The platform was not reached at all: nothing was done."""


class TimedOut(ConnectionFailed):
    """No answer came in time."""


class StreamBroken(PlatformError):
    """A stream broke off where it cannot be taken up again: what came before stays, what is missing is unknown."""


class EventsLost(PlatformError):
    """What was missed meanwhile is not kept any more: look at the things themselves, and watch from now on."""


class ChecksumMismatch(PlatformError):
    """The bytes that arrived are not those that were sent."""


class UnexpectedAnswer(PlatformError):
    """The platform's answer has not the form that this client knows: their versions may be too far apart."""


class JobFailed(PlatformError):
    """A job that was waited for has failed, was cancelled, or made no model."""


class NotThereYet(PlatformError):
    """What was asked for will be there later."""


class NotConfigured(PlatformError):
    """There is no key, or a setting is not valid."""


class ApiError(PlatformError):
    """The platform refused the request.

    `code` is the family's own (`NOT_FOUND`, `execution_error`, `model_not_found`, …) or `http_<status>` where its form
    has none; `metadata` is what a program may want to know; `request_id` finds the platform's own log of it.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        metadata: Mapping[str, Any] | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.metadata: dict[str, Any] = dict(metadata or {})
        self.request_id = request_id

    def __str__(self) -> str:
        place = f", request {self.request_id}" if self.request_id else ""
        return f"{self.message} ({self.code}, {self.status}{place})"


class InvalidRequest(ApiError):
    """The request is not valid; `metadata` or the message names the fields."""


class Unauthenticated(ApiError):
    """There is no key, or one that is not valid."""


class Forbidden(ApiError):
    """The key does not allow this."""


class NotFound(ApiError):
    """There is no such thing."""


class Conflict(ApiError):
    """It conflicts with what there is."""


class TooLarge(ApiError):
    """The request is larger than the platform takes."""


class RateLimited(ApiError):
    """Too many requests; `retry_after` seconds from now there may be more."""

    retry_after: float | None = None


class QuotaExhausted(RateLimited):
    """The key's budget is spent."""


class ServerFailed(ApiError):
    """The platform failed."""


class EngineFailed(ServerFailed):
    """The engine behind the model failed."""


class Unavailable(ServerFailed):
    """A part of the platform is not there at the moment."""


class DeadlinePassed(ServerFailed):
    """The platform had no answer in time."""


_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: InvalidRequest,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    422: InvalidRequest,
    429: RateLimited,
    502: EngineFailed,
    503: Unavailable,
    504: DeadlinePassed,
}


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """The error that an answer of that status tells, in whichever family's form."""
    code, message, metadata = _read(status, body)
    kind = _BY_STATUS.get(status, ServerFailed if status >= 500 else ApiError)
    if kind is RateLimited and headers.get("x-should-retry") == "false":
        kind = QuotaExhausted
    error = kind(status, code, message, metadata, headers.get("x-request-id"))
    if isinstance(error, RateLimited):
        error.retry_after = seconds(headers.get("retry-after"))
    return error


def told(body: Any, status: int = 200) -> ApiError:
    """The error that a stream tells after its answer has begun well."""
    code, message, metadata = _read(status, json.dumps(body).encode())
    return ServerFailed(status, code, message, metadata)


def seconds(text: str | None) -> float | None:
    """A `Retry-After` in seconds, the only form that the platform sends."""
    try:
        return max(0.0, float(text)) if text is not None else None
    except ValueError:
        return None


def _read(status: int, body: bytes) -> tuple[str, str, dict[str, Any]]:
    try:
        return _form(status, json.loads(body))
    except (ValueError, TypeError, KeyError, AttributeError):
        text = body.decode(errors="replace").strip()
        return f"http_{status}", text[:500] or f"The platform answered {status}", {}


def _form(status: int, body: Any) -> tuple[str, str, dict[str, Any]]:
    """Code, message and metadata of any family's form."""
    match body:
        case {"error": str(code), "message": str(message), "metadata": dict(metadata)}:
            return code, _with_fields(message, _pairs(metadata.get("errors"))), metadata
        case {"status": "error", "error": {"message": str(reason), "type": kind} as details, "errors": errors}:
            # `errors` is by field where templates are saved.
            code = errors[0]["code"] if isinstance(errors, list) and errors else kind
            message = body.get("message", reason)
            whole = message if reason in message else f"{message}: {reason}"
            return str(code), _with_fields(whole, _pairs(details.get("details"))), {**details, "errors": errors}
        case {"error": {"message": str(message)} as details}:
            return str(details.get("code") or details.get("type") or f"http_{status}"), message, details
        case {"error": str(message)} | {"detail": str(message)}:
            return f"http_{status}", message, {}
        case _:
            raise ValueError("no form of ours")


def _with_fields(message: str, pairs: list[str]) -> str:
    """As the other families tell it: `Input validation failed: title: field required; x: unknown field`."""
    return f"{message}: {'; '.join(pairs)}" if pairs and not any(pair in message for pair in pairs) else message


def _pairs(told: Any) -> list[str]:
    """Fields and what is wrong with them, in document E's form or in A's and B's."""
    match told:
        case list():
            return [f"{each['field']}: {each['message']}" for each in told if {"field", "message"} <= each.keys()]
        case dict():
            return [f"{field}: {reason}" for field, reasons in told.items() for reason in reasons]
        case _:
            return []
