"""The HTTP side of an engine, whichever API it speaks: connections, time limits, and what each failure means."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import aiohttp

from common.telemetry import inject
from llm_router.domain.engines import EngineSpec
from llm_router.domain.failures import EngineFailure, FailureKind
from llm_router.engine.addresses import PublicResolver
from llm_router.engine.openai_wire import invalid_answer, read_error, retry_after_seconds
from llm_router.engine.protocol import Timeouts

_LARGEST_ANSWER = 64 * 1024 * 1024
_LARGEST_ERROR = 64 * 1024
_READ_BUFFER = 256 * 1024
_LAST_BYTES_SECONDS = 0.5


class EngineHttp:
    """A client of one engine, with a connection pool of its own. Made inside the event loop, ended by `close`."""

    def __init__(self, spec: EngineSpec, timeouts: Timeouts) -> None:
        self._base = spec.api_base
        self._connect = timeouts.connect
        headers = {"Content-Type": "application/json"}
        if spec.token is not None:
            headers["Authorization"] = f"Bearer {spec.token}"
        self._session = aiohttp.ClientSession(
            # The pool itself is not bounded: routing bounds what an engine has outstanding.
            connector=aiohttp.TCPConnector(limit=0, resolver=PublicResolver() if spec.guarded else None),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=headers,
            read_bufsize=_READ_BUFFER,
        )

    async def close(self) -> None:
        await self._session.close()

    @asynccontextmanager
    async def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        total: float | None = None,
        silence: float | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A successful response. Whatever ends the block early closes the connection, which the engine notices.

        `total` bounds the whole, `silence` the time without a byte; both in seconds. Raises `EngineFailure`.
        """
        with _failures():
            response = await self._session.request(
                method,
                self._base + path,
                data=body,
                timeout=aiohttp.ClientTimeout(total=total, sock_connect=self._connect, sock_read=silence),
                headers=inject({}),
                # A redirect could lead to an address that nobody has checked.
                allow_redirects=False,
            )
            try:
                if response.status != 200:
                    retry_after = retry_after_seconds(response.headers.get("Retry-After"))
                    raise read_error(response.status, await response.content.read(_LARGEST_ERROR), retry_after)
                yield response
            finally:
                # A no-op when the body was read to its end: the connection then is in the pool again already.
                response.close()

    async def read(self, method: str, path: str, body: bytes | None = None, *, total: float | None = None) -> bytes:
        """The body of a successful response. Raises `EngineFailure`."""
        async with self.call(method, path, body, total=total) as response:
            return await _bounded(response, _LARGEST_ANSWER)


async def to_its_end(response: aiohttp.ClientResponse) -> None:
    """Reads the end of a body that is complete in all but name, so that its connection can be used again."""
    with suppress(aiohttp.ClientError, TimeoutError):
        async with asyncio.timeout(_LAST_BYTES_SECONDS):
            await response.content.readany()


async def _bounded(response: aiohttp.ClientResponse, limit: int) -> bytes:
    if (response.content_length or 0) > limit:
        raise invalid_answer("is too large")
    parts, size = [], 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > limit:
            raise invalid_answer("is too large")
        parts.append(part)
    return b"".join(parts)


@contextmanager
def _failures() -> Iterator[None]:
    """Says what a failure of the HTTP client means."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise EngineFailure(FailureKind.CONNECTION, "The engine did not accept a connection in time") from error
    except (TimeoutError, aiohttp.ServerTimeoutError) as error:
        raise EngineFailure(FailureKind.TIMEOUT, "The engine did not answer in time") from error
    except aiohttp.ClientPayloadError as error:
        raise EngineFailure(FailureKind.CONNECTION, "The engine broke off in the middle of its answer") from error
    except aiohttp.ClientConnectorError as error:
        raise EngineFailure(FailureKind.CONNECTION, "The engine could not be reached") from error
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise EngineFailure(FailureKind.CONNECTION, "The engine closed the connection") from error
    except (aiohttp.ClientError, ValueError) as error:
        raise EngineFailure(FailureKind.INVALID_ANSWER, "The engine did not speak proper HTTP") from error
