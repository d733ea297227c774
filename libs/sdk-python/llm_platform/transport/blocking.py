"""Runs procedures in the caller's thread."""

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

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


class Stream(Generic[T]):
    """What comes, one after another. Leaving a `with` or calling `close` lets go of the connection."""

    def __init__(self, items: Generator[T, None, None]) -> None:
        self._items = items

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        return next(self._items)

    def __enter__(self) -> "Stream[T]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._items.close()


class Runner:
    """Carries out what procedures want, over one pool of connections."""

    def __init__(self, place: Place, http: httpx.Client, retries: Retries) -> None:
        self.place = place
        self.retries = retries
        self._http = http

    def run(self, steps: Steps[T]) -> T:
        ends = self._drive(steps)
        while True:
            try:
                next(ends)
            except StopIteration as end:
                return cast(T, end.value)

    def iterate(self, flow: Flow[T]) -> Stream[T]:
        return Stream(self._drive(flow))

    def close(self) -> None:
        self._http.close()

    def _drive(self, procedure: Procedure) -> Generator[Any, None, Any]:
        """Performs effects, and yields what is none."""
        with _Hands(self.place, self._http) as hands, closing(procedure):
            wanted = begin(procedure)
            while not isinstance(wanted, Ended):
                done = None
                if not isinstance(wanted, Effect):
                    yield wanted
                else:
                    try:
                        done = hands.perform(wanted)
                    except PlatformError as error:
                        wanted = fail(procedure, error)
                        continue
                wanted = resume(procedure, done)
            return wanted.value


class _Hands:
    """What one procedure holds of the world: a connection at most."""

    def __init__(self, place: Place, http: httpx.Client) -> None:
        self._place = place
        self._http = http
        self._response: httpx.Response | None = None
        self._pieces: Iterator[bytes] = iter(())
        self._socket: ClientConnection | None = None

    def __enter__(self) -> "_Hands":
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go()

    def perform(self, effect: Effect[Any]) -> Any:  # noqa: PLR0911 - one for each effect
        match effect:
            case Send(request):
                return self._send(request)
            case Open(request, silence):
                return self._open(request, silence)
            case Read():
                with telling("Reading"):
                    return next(self._pieces, b"")
            case Dial(path, query):
                return self._dial(self._place.socket(path, query))
            case Hear():
                return self._hear()
            case Sleep(seconds):
                return time.sleep(seconds)
            case Do(work):
                return work()
            case _:
                raise TypeError(f"{effect} cannot be performed")

    def _let_go(self) -> None:
        response, socket = self._response, self._socket
        self._response = self._socket = None
        if response is not None:
            response.close()
        if socket is not None:
            socket.close()

    def _built(self, request: Request, **options: Any) -> httpx.Request:
        body = request.body
        content = body.content() if body is not None and callable(body.content) else body and body.content
        return self._http.build_request(
            request.method,
            self._place.url + request.path,
            params=dict(request.query) or None,
            headers=headers_of(request, self._place),
            content=cast(Any, content),
            **options,
        )

    def _send(self, request: Request) -> Answer:
        with telling(f"{request.method} {request.path}"):
            response = self._http.send(self._built(request))
            return answer_of(response, response.content)

    def _open(self, request: Request, silence: float | None) -> Answer:
        self._let_go()
        options = {} if silence is None else {"timeout": httpx.Timeout(silence, connect=5.0)}
        with telling(f"{request.method} {request.path}"):
            response = self._http.send(self._built(request, **options), stream=True)
            self._response, self._pieces = response, response.iter_bytes()
            return answer_of(response, response.read() if response.status_code >= 400 else b"")

    def _dial(self, url: str) -> None:
        self._let_go()
        with telling("The WebSocket"):
            self._socket = connect(url, additional_headers=self._place.headers, max_size=LONGEST_MESSAGE)

    def _hear(self) -> str | Closed:
        if self._socket is None:
            raise TypeError("no WebSocket is open")
        with telling("The WebSocket"):
            try:
                return str(self._socket.recv())
            except ConnectionClosed as error:
                if error.rcvd is None:
                    raise
                return Closed(error.rcvd.code, error.rcvd.reason)
