"""When a request is sent again: only if it cannot be done twice by that, and not before the platform wants it."""

import random
import uuid
from dataclasses import dataclass, replace

from llm_platform.core.effects import Answer, Open, Request, Send, Sleep, Steps
from llm_platform.errors import ConnectionFailed, NotSent, UnexpectedAnswer, refusal, seconds

IDEMPOTENCY_HEADER = "Idempotency-Key"
_REFUSED_UNDONE = 429
_TEMPORARY = (408, 425, 429, 502, 503, 504)
_REPEATABLE = ("GET", "PUT", "DELETE")
_LONGEST_PAUSE = 60.0


@dataclass(frozen=True)
class Retries:
    """`most` more attempts after the first. Pauses double from `first_pause` seconds, and are drawn at random below."""

    most: int = 3
    first_pause: float = 0.5
    longest_pause: float = 8.0

    def pause(self, attempt: int, wanted: float | None = None) -> float:
        """Seconds to wait after that attempt, counted from 0; what the platform wants is the least."""
        drawn = random.uniform(0, min(self.longest_pause, self.first_pause * 2**attempt))  # noqa: S311 - no secret
        return drawn if wanted is None else wanted + drawn / 2


def named(request: Request) -> Request:
    """The request, under an idempotency key if it makes something."""
    if request.method != "POST" or IDEMPOTENCY_HEADER in request.headers:
        return request
    return replace(request, headers={**request.headers, IDEMPOTENCY_HEADER: uuid.uuid4().hex})


def exchange(request: Request, retries: Retries) -> Steps[Answer]:
    """The answer, once there is a good one. Raises `ApiError`, `ConnectionFailed`; `UnexpectedAnswer` if redirected."""
    return _persist(request, retries, None)


def opening(request: Request, retries: Retries, silence: float | None) -> Steps[Answer]:
    """As `exchange`, with the body left to be read."""
    return _persist(request, retries, silence)


def _persist(request: Request, retries: Retries, silence: float | None) -> Steps[Answer]:
    request = named(request)
    attempt = 0
    while True:
        try:
            answer = yield from (Send(request) if silence is None else Open(request, silence))
        except ConnectionFailed as error:
            if attempt == retries.most or not (isinstance(error, NotSent) or _may_repeat(request)):
                raise
            wanted = None
        else:
            if 300 <= answer.status < 400:
                # Its body is nobody's answer; and what makes something would come there as a GET.
                place = answer.headers.get("location", "another address")
                raise UnexpectedAnswer(f"{request.method} {request.path} is redirected to {place}: ask there")
            if answer.status < 400 or answer.status == request.also:
                return answer
            wanted = seconds(answer.headers.get("retry-after"))
            if attempt == retries.most or not _is_temporary(request, answer, wanted):
                raise refusal(answer.status, answer.headers, answer.body)
        yield from Sleep(retries.pause(attempt, wanted))
        attempt += 1


def _may_repeat(request: Request) -> bool:
    return request.once or request.method in _REPEATABLE


def _is_temporary(request: Request, answer: Answer, wanted: float | None) -> bool:
    if answer.headers.get("x-should-retry") == "false" or (wanted is not None and wanted > _LONGEST_PAUSE):
        return False
    return answer.status == _REFUSED_UNDONE or (answer.status in _TEMPORARY and _may_repeat(request))
