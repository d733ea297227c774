"""What the command's exit says to a script."""

from enum import IntEnum

from llm_platform.errors import (
    ApiError,
    ConnectionFailed,
    Forbidden,
    JobFailed,
    NotConfigured,
    NotFound,
    PlatformError,
    RateLimited,
    ServerFailed,
    StreamBroken,
    TimedOut,
    Unauthenticated,
)


class Exit(IntEnum):
    """The exit codes; `llm-platform --help` lists them."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    NOT_FOUND = 4
    NOT_ALLOWED = 5
    UNREACHABLE = 6
    ENDED_BADLY = 7
    LATER = 8
    INTERRUPTED = 130


_MEANINGS: tuple[tuple[type[PlatformError], Exit], ...] = (
    (NotFound, Exit.NOT_FOUND),
    (Unauthenticated, Exit.NOT_ALLOWED),
    (Forbidden, Exit.NOT_ALLOWED),
    (RateLimited, Exit.LATER),
    (ServerFailed, Exit.UNREACHABLE),
    (ApiError, Exit.REFUSED),
    (JobFailed, Exit.ENDED_BADLY),
    (TimedOut, Exit.LATER),
    (ConnectionFailed, Exit.UNREACHABLE),
    (StreamBroken, Exit.UNREACHABLE),
    (NotConfigured, Exit.USAGE),
)
"""The first that fits."""

EPILOG = (
    "Exit codes: 0 done; 1 failed; 2 wrong usage; 3 the platform refused the request; 4 there is no such thing;"
    " 5 the key does not allow it; 6 the platform cannot be reached, or failed; 7 the job or run ended badly;"
    " 8 try again later; 130 interrupted."
)


def meaning(error: PlatformError) -> Exit:
    return next((code for kind, code in _MEANINGS if isinstance(error, kind)), Exit.FAILED)
