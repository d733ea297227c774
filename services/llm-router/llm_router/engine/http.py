"""The HTTP side of an engine, whichever API it speaks: connections, time limits, and what each failure means."""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from urllib.parse import quote, urlsplit

from common.tracing import inject
from llm_router.domain.engines import EngineSpec
from llm_router.domain.failures import EngineFailure, FailureKind
from llm_router.engine.addresses import public_addresses
from llm_router.engine.http_connection import BrokenOff, Connection, NotHttp
from llm_router.engine.openai_wire import invalid_answer, read_error, retry_after_seconds
from llm_router.engine.protocol import Timeouts

_LARGEST_ANSWER = 64 * 1024 * 1024
_LARGEST_ERROR = 64 * 1024
_LAST_BYTES_SECONDS = 0.5
_IDLE_SECONDS = 4.0
"""How long an unused connection is kept: uvicorn, llama.cpp and others close theirs after five, perhaps in the very
moment in which it is used again."""
_OK = 200


class EngineHttp:
    """A client of one engine, with a connection pool of its own. Made inside the event loop, ended by `close`."""

    def __init__(self, spec: EngineSpec, timeouts: Timeouts) -> None:
        base = urlsplit(spec.api_base)
        self._loop = asyncio.get_running_loop()
        self._host = base.hostname or ""
        self._tls = ssl.create_default_context() if base.scheme == "https" else None
        self._port = base.port or (443 if self._tls else 80)
        self._path = quote(base.path, safe="/%:@!$&'()*+,;=~-._")
        self._guarded = spec.guarded
        self._connect_seconds = timeouts.connect
        # The pool itself is not bounded: routing bounds what an engine has outstanding.
        self._idle: deque[tuple[Connection, float]] = deque()
        self._busy: set[Connection] = set()
        self._head = _head(base.netloc, spec.token)

    async def close(self) -> None:
        for connection in (*self._busy, *(idle for idle, _ in self._idle)):
            connection.close()
        self._idle.clear()

    async def read(self, method: str, path: str, body: bytes = b"", *, total: float | None = None) -> bytes:
        """The body of a successful response. Raises `EngineFailure`."""
        with _FAILURES:
            request = self._request(method, path, body)
            try:
                return await self._answer(self._kept_connection() or await self._new_connection(), request, total)
            except BrokenOff as error:
                if error.begun or method != "GET":
                    raise
            # The engine closed a kept connection in the moment of its use. What only reads may be asked twice.
            return await self._answer(await self._new_connection(), request, total)

    async def _answer(self, connection: Connection, request: bytes, total: float | None) -> bytes:
        try:
            connection.send(request)
            if total is None:
                return await _body(connection)
            with connection.bounded(total, None):
                return await _body(connection)
        finally:
            self._give_back(connection)

    @asynccontextmanager
    async def call(self, method: str, path: str, body: bytes = b"", *, silence: float) -> AsyncIterator[Connection]:
        """A successful response, whose body is to be read. What ends the block early closes the connection.

        `silence` bounds the time without a byte once the body has begun, in seconds; before that the caller bounds it.
        Raises `EngineFailure`.
        """
        with _FAILURES:
            connection = self._kept_connection() or await self._new_connection()
            try:
                connection.send(self._request(method, path, body))
                with connection.bounded(None, silence):
                    await _begin(connection)
                    yield connection
            finally:
                self._give_back(connection)

    def _request(self, method: str, path: str, body: bytes) -> bytes:
        trace = "".join([f"{name}: {value}\r\n" for name, value in inject({}).items()])
        head = f"{method} {self._path}{path} HTTP/1.1\r\n{self._head}{trace}Content-Length: {len(body)}\r\n\r\n"
        return head.encode("latin-1", "replace") + body

    def _kept_connection(self) -> Connection | None:
        oldest = self._loop.time() - _IDLE_SECONDS
        while self._idle and self._idle[0][1] < oldest:
            self._idle.popleft()[0].close()
        while self._idle:
            connection, _ = self._idle.pop()
            if connection.is_reusable:
                self._busy.add(connection)
                return connection
        return None

    async def _new_connection(self) -> Connection:
        connection = await self._connect()
        self._busy.add(connection)
        return connection

    async def _connect(self) -> Connection:
        try:
            async with asyncio.timeout(self._connect_seconds):
                if not self._guarded:
                    return await self._connect_to(self._host)
                return await self._connect_to_any(await public_addresses(self._host, self._port))
        except TimeoutError as error:
            raise EngineFailure(FailureKind.CONNECTION, "The engine did not accept a connection in time") from error
        except OSError as error:
            raise EngineFailure(FailureKind.CONNECTION, "The engine could not be reached") from error

    async def _connect_to_any(self, addresses: Sequence[str]) -> Connection:
        *others, last = addresses
        for address in others:
            with suppress(OSError):
                return await self._connect_to(address)
        return await self._connect_to(last)

    async def _connect_to(self, address: str) -> Connection:
        name = self._host if self._tls else None
        _, connection = await self._loop.create_connection(
            Connection, address, self._port, ssl=self._tls, server_hostname=name
        )
        return connection

    def _give_back(self, connection: Connection) -> None:
        self._busy.discard(connection)
        if connection.is_reusable:
            self._idle.append((connection, self._loop.time()))
        else:
            connection.close()


async def to_its_end(connection: Connection) -> None:
    """Reads the end of a body that is complete in all but name, so that its connection can be used again."""
    with suppress(OSError, ValueError, TimeoutError):
        async with asyncio.timeout(_LAST_BYTES_SECONDS):
            while await connection.more():
                pass


async def _begin(connection: Connection) -> None:
    """Raises `EngineFailure` for an answer that is none."""
    await connection.begin()
    if connection.status != _OK:
        retry_after = retry_after_seconds(connection.headers.get("retry-after"))
        data = bytearray()
        while len(data) < _LARGEST_ERROR and (part := await connection.more()):
            data += part
        raise read_error(connection.status, bytes(data), retry_after)


async def _body(connection: Connection) -> bytes:
    """The whole body. Raises `EngineFailure` as `_begin`, and for one that is too large."""
    await _begin(connection)
    if connection.ended:
        return connection.rest()
    parts, size = [], 0
    while part := await connection.more():
        size += len(part)
        if size > _LARGEST_ANSWER:
            raise invalid_answer("is too large")
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _head(host: str, token: str | None) -> str:
    """The lines of every request's head."""
    head = {
        "Host": host.encode("idna").decode() if not host.isascii() else host,
        "Accept": "*/*",
        "User-Agent": "llm-platform",
        "Content-Type": "application/json",
    }
    if token is not None:
        head["Authorization"] = f"Bearer {token}"
    return "".join(f"{name}: {value}\r\n" for name, value in head.items())


class _Failures:
    """Around what is said on a connection: says what a failure of it means."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        match error:
            case TimeoutError():
                raise EngineFailure(FailureKind.TIMEOUT, "The engine did not answer in time") from error
            case BrokenOff():
                message = "broke off in the middle of its answer" if error.begun else "closed the connection"
                raise EngineFailure(FailureKind.CONNECTION, f"The engine {message}") from error
            case NotHttp():
                raise EngineFailure(FailureKind.INVALID_ANSWER, "The engine did not speak proper HTTP") from error


_FAILURES = _Failures()
