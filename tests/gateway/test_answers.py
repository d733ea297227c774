"""An answer of JSON on the hot path is written by ourselves: by hand on a socket, it is as aiohttp's own would be."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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
        own: dict[str, str] | None = None,
        *,
        method: str = "POST",
        path: str = "/v1/chat/completions",
        body: bytes = BODY,
        version: str = "1.1",
    ) -> tuple[str, dict[str, str], bytes]:
        """Status line, headers by their lower-case names, and the body. `own` headers are added."""
        headers = {"Host": "gateway", "Authorization": f"Bearer {ADMIN_KEY}", "Content-Length": str(len(body))}
        headers |= own or {}
        lines = [f"{method} {path} HTTP/{version}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        self._writer.write("\r\n".join(lines).encode() + body)
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


async def test_a_head_that_is_too_long_is_refused_and_not_logged(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    async with line_to(gateway) as line:
        status, *_ = await line.ask({"X-Long": "x" * 10_000})
        assert await line.is_closed()
    assert status.endswith(" 400 Bad Request")
    assert "aiohttp.server" not in {record.name for record in caplog.records}
