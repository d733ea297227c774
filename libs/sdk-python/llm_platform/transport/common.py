"""What both runners need to know: addresses, headers, and what failures of httpx and websockets mean."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from socket import gaierror
from urllib.parse import urlencode, urlsplit, urlunsplit

import httpx
import websockets

from llm_platform.core.effects import Answer, Request
from llm_platform.errors import ConnectionFailed, NotSent, TimedOut, refusal

AGENT = "llm-platform-python"
LONGEST_MESSAGE = 16 * 1024 * 1024
"""Bytes of a WebSocket's message: an event holds the whole text of a response."""


@dataclass(frozen=True)
class Place:
    """Where the platform is and who asks."""

    url: str
    key: str | None = field(repr=False)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    def socket(self, path: str, query: Mapping[str, str]) -> str:
        scheme, host, base, _, _ = urlsplit(self.url)
        return urlunsplit(("wss" if scheme == "https" else "ws", host, base + path, urlencode(query), ""))


def headers_of(request: Request, place: Place) -> dict[str, str]:
    headers = {"Accept": "application/json", "User-Agent": AGENT, **place.headers, **request.headers}
    if request.body is not None:
        headers |= {"Content-Type": request.body.media, "Content-Length": str(request.body.length)}
    return headers


def answer_of(response: httpx.Response, body: bytes) -> Answer:
    return Answer(response.status_code, {name.lower(): value for name, value in response.headers.items()}, body)


@contextmanager
def telling(what: str) -> Iterator[None]:
    """Raises `ConnectionFailed` for what httpx and websockets raise."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, ConnectionRefusedError, gaierror) as error:
        raise NotSent(f"{what}: the platform cannot be reached: {error}") from error
    except httpx.TimeoutException as error:
        raise TimedOut(f"{what}: no answer in time") from error
    except httpx.TransportError as error:
        raise ConnectionFailed(f"{what}: the connection was lost: {error}") from error
    except websockets.InvalidStatus as error:
        refused = error.response
        raise refusal(
            refused.status_code,
            {name.lower(): value for name, value in refused.headers.raw_items()},
            bytes(refused.body or b""),
        ) from error
    except (websockets.WebSocketException, OSError, EOFError) as error:
        raise ConnectionFailed(f"{what}: the connection was lost: {error}") from error
