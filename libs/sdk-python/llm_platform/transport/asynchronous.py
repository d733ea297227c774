"""Runs procedures on an event loop."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import closing
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from llm_platform.core.effects import (
    Answer,
    Closed,
    Dial,
    Do,
    Effect,
    Ended,
    Flow,
    Hear,
    Open,
    Procedure,
    Read,
    Request,
    Send,
    Sleep,
    Steps,
    begin,
    fail,
    resume,
)
from llm_platform.core.retrying import Retries
from llm_platform.errors import PlatformError
from llm_platform.transport.common import LONGEST_MESSAGE, Place, answer_of, headers_of, telling

T = TypeVar("T")


class AsyncStream(Generic[T]):
    """What comes, one after another. Leaving an `async with` or `aclose` lets go of the connection."""

    def __init__(self, items: AsyncGenerator[T, None]) -> None:
        self._items = items

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        return await anext(self._items)

    async def __aenter__(self) -> "AsyncStream[T]":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._items.aclose()


class AsyncRunner:
    """Carries out what procedures want, over one pool of connections."""

    def __init__(self, place: Place, http: httpx.AsyncClient, retries: Retries) -> None:
        self.place = place
        self.retries = retries
        self._http = http

    async def run(self, steps: Steps[T]) -> T:
        async with _Hands(self.place, self._http) as hands:
            with closing(steps):
                wanted = begin(steps)
                while not isinstance(wanted, Ended):
                    wanted = await _next(hands, steps, wanted)
                return cast(T, wanted.value)

    def iterate(self, flow: Flow[T]) -> AsyncStream[T]:
        return AsyncStream(self._items(flow))

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _items(self, flow: Flow[T]) -> AsyncGenerator[T, None]:
        async with _Hands(self.place, self._http) as hands:
            with closing(flow):
                wanted = begin(flow)
                while not isinstance(wanted, Ended):
                    if isinstance(wanted, Effect):
                        wanted = await _next(hands, flow, wanted)
                    else:
                        yield wanted
                        wanted = resume(flow, None)


async def _next(hands: "_Hands", procedure: Procedure, effect: Effect[Any]) -> Any:
    """What the procedure wants once this effect is performed."""
    try:
        done = await hands.perform(effect)
    except PlatformError as error:
        return fail(procedure, error)
    return resume(procedure, done)


class _Hands:
    """What one procedure holds of the world: a connection at most."""

    def __init__(self, place: Place, http: httpx.AsyncClient) -> None:
        self._place = place
        self._http = http
        self._response: httpx.Response | None = None
        self._pieces: AsyncIterator[bytes] | None = None
        self._socket: ClientConnection | None = None

    async def __aenter__(self) -> "_Hands":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._let_go()

    async def perform(self, effect: Effect[Any]) -> Any:  # noqa: PLR0911 - one for each effect
        match effect:
            case Send(request):
                return await self._send(request)
            case Open(request, silence):
                return await self._open(request, silence)
            case Read():
                with telling("Reading"):
                    return b"" if self._pieces is None else await anext(self._pieces, b"")
            case Dial(path, query):
                return await self._dial(self._place.socket(path, query))
            case Hear():
                return await self._hear()
            case Sleep(seconds):
                return await asyncio.sleep(seconds)
            case Do(work):
                return await asyncio.to_thread(work)
            case _:
                raise TypeError(f"{effect} cannot be performed")

    async def _let_go(self) -> None:
        response, socket = self._response, self._socket
        self._response = self._socket = None
        if response is not None:
            await response.aclose()
        if socket is not None:
            await socket.close()

    def _built(self, request: Request, **options: Any) -> httpx.Request:
        body = request.body
        content = _in_threads(body.content()) if body is not None and callable(body.content) else body and body.content
        return self._http.build_request(
            request.method,
            self._place.url + request.path,
            params=dict(request.query) or None,
            headers=headers_of(request, self._place),
            content=cast(Any, content),
            **options,
        )

    async def _send(self, request: Request) -> Answer:
        with telling(f"{request.method} {request.path}"):
            response = await self._http.send(self._built(request))
            return answer_of(response, response.content)

    async def _open(self, request: Request, silence: float | None) -> Answer:
        await self._let_go()
        options = {} if silence is None else {"timeout": httpx.Timeout(silence, connect=5.0)}
        with telling(f"{request.method} {request.path}"):
            response = await self._http.send(self._built(request, **options), stream=True)
            self._response, self._pieces = response, response.aiter_bytes()
            return answer_of(response, await response.aread() if response.status_code >= 400 else b"")

    async def _dial(self, url: str) -> None:
        await self._let_go()
        with telling("The WebSocket"):
            self._socket = await connect(url, additional_headers=self._place.headers, max_size=LONGEST_MESSAGE)

    async def _hear(self) -> str | Closed:
        if self._socket is None:
            raise TypeError("no WebSocket is open")
        with telling("The WebSocket"):
            try:
                return str(await self._socket.recv())
            except ConnectionClosed as error:
                if error.rcvd is None:
                    raise
                return Closed(error.rcvd.code, error.rcvd.reason)


async def _in_threads(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The same pieces, read from the disk without holding up the loop."""
    while piece := await asyncio.to_thread(next, pieces, b""):
        yield piece
