"""An answer of JSON on the hot path is written by ourselves: by hand on a socket, it is as aiohttp's own would be."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from yarl import URL

from contracts.router import CHAT_COMPLETE, LIST_SERVED_MODELS, ServedModels
from tests.gateway.conftest import ADMIN_KEY, Gateway
from tests.gateway.peers import REPLY, Peers, served

BODY = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "Hello"}]})
DIFFERENT = {"x-request-id", "x-ratelimit-remaining", "x-ratelimit-remaining-requests", "content-length", "date"}


class Line:
    """One connection to the gateway, kept for as many requests as it takes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(
        self,
        own: Mapping[str, str | None] | None = None,
        *,
        method: str = "POST",
        path: str = "/v1/chat/completions",
        body: bytes = BODY,
        version: str = "1.1",
    ) -> tuple[str, dict[str, str], bytes]:
        """Status line, headers by their lower-case names, and the body. `own` headers are added; None leaves one out.

        A byte that is no UTF-8 is written as the surrogate that stands for it.
        """
        headers = {"Host": "gateway", "Authorization": f"Bearer {ADMIN_KEY}", "Content-Length": str(len(body))}
        sent = {name: value for name, value in {**headers, **(own or {})}.items() if value is not None}
        lines = [f"{method} {path} HTTP/{version}", *(f"{name}: {value}" for name, value in sent.items()), "", ""]
        self._writer.write("\r\n".join(lines).encode(errors="surrogateescape") + body)
        status, *head = (await self._reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        told = {name.lower(): value for name, _, value in (line.partition(": ") for line in head)}
        assert len(told) == len(head)
        return status, told, await self._reader.readexactly(int(told["content-length"]))

    async def is_closed(self) -> bool:
        return await self._reader.read() == b""


@asynccontextmanager
async def line_to(gateway: Gateway) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection("127.0.0.1", URL(gateway.url).port)
    try:
        yield Line(reader, writer)
    finally:
        writer.close()


async def test_it_carries_the_headers_of_every_other_answer(gateway: Gateway, peers: Peers) -> None:
    peers.answer(CHAT_COMPLETE, REPLY)
    peers.answer(LIST_SERVED_MODELS, ServedModels(models=[served("m")]))
    async with line_to(gateway) as line:
        status, ours, body = await line.ask({"X-Request-ID": "mine"})
        _, others, _ = await line.ask(method="GET", path="/v1/models", body=b"")
    assert status == "HTTP/1.1 200 OK"
    assert ours.keys() == others.keys()
    assert ours["x-request-id"] == "mine"
    assert ours["content-type"].startswith("application/json")
    different = DIFFERENT | {"content-type", "x-ratelimit-reset-requests"}
    assert {n: v for n, v in ours.items() if n not in different} == {
        n: v for n, v in others.items() if n not in different
    }
    assert orjson.loads(body)["choices"][0]["message"]["content"] == "Hello there"


async def test_the_connection_is_kept_for_the_next_request(gateway: Gateway, peers: Peers) -> None:
    peers.answer(CHAT_COMPLETE, REPLY)
    async with line_to(gateway) as line:
        answers = [await line.ask() for _ in range(3)]
    assert [status for status, *_ in answers] == ["HTTP/1.1 200 OK"] * 3


@pytest.mark.parametrize(("version", "own"), [("1.1", {"Connection": "close"}), ("1.0", {})])
async def test_the_connection_is_closed_where_the_client_keeps_none(
    version: str, own: dict[str, str], gateway: Gateway, peers: Peers
) -> None:
    peers.answer(CHAT_COMPLETE, REPLY)
    async with line_to(gateway) as line:
        status, headers, _ = await line.ask(own, version=version)
        assert await line.is_closed()
    assert status == f"HTTP/{version} 200 OK"
    assert headers.get("connection") == ("close" if version == "1.1" else None)


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        ({"own": {"X-Long": "x" * 10_000}}, "has a head that is too long"),
        ({"method": "GARBAGE("}, "is not HTTP as it should be"),
        ({"path": "/v1/\udcff"}, "is not HTTP as it should be"),
        ({"version": "9.9"}, "is not HTTP as it should be"),
    ],
    ids=["long", "method", "path", "version"],
)
async def test_what_is_no_http_is_refused_in_json_and_not_logged(
    asked: dict[str, Any], wrong: str, gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    async with line_to(gateway) as line:
        status, headers, body = await line.ask(**asked)
        assert await line.is_closed()
    assert status.endswith(" 400 Bad Request")
    assert orjson.loads(body) == {"error": "VALIDATION_ERROR", "message": f"The request {wrong}", "metadata": {}}
    assert (headers["server"], headers["x-content-type-options"]) == ("llm-platform", "nosniff")
    assert not caplog.records


@pytest.mark.parametrize(
    ("own", "status"),
    [
        ({"Authorization": "Bearer \udcff"}, "401 Unauthorized"),
        ({"Authorization": "bearer llmp_\udcff_\udcff"}, "401 Unauthorized"),
        ({"X-API-Key": "\udcff", "Authorization": None}, "401 Unauthorized"),
        ({"Cookie": "llmp_session=\udcff", "Authorization": None}, "401 Unauthorized"),
        ({"traceparent": f"00-{'1' * 32}-{'2' * 16}-00", "tracestate": "a=\udcff"}, "200 OK"),
    ],
    ids=["key", "our key", "header", "cookie", "trace"],
)
async def test_bytes_of_headers_that_are_no_text_are_no_crash(
    own: dict[str, str | None], status: str, gateway: Gateway, peers: Peers
) -> None:
    peers.answer(CHAT_COMPLETE, REPLY)
    async with line_to(gateway) as line:
        told, *_ = await line.ask(own)
    assert told == f"HTTP/1.1 {status}"
