"""HTTP/1.1 against peers that speak it badly: bytes as they are, from a bare socket."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from llm_router.domain.engines import EngineSpec
from llm_router.domain.failures import EngineFailure, FailureKind
from llm_router.engine import openai_stream
from llm_router.engine.http import EngineHttp
from llm_router.engine.openai_stream import EventLines
from llm_router.engine.protocol import Timeouts
from tests.certificates import certified

OK = b"HTTP/1.1 200 OK\r\n"
MEASURED = OK + b"Content-Length: 2\r\n\r\nok"
TIMEOUTS = Timeouts(connect=5.0, silence=5.0, check=5.0, load=5.0)


class Peer:
    """Answers each request on a connection with the next of `answers`; None ends the connection."""

    def __init__(self, answers: list[bytes | None]) -> None:
        self.answers = answers
        self.connections = 0
        self.left = asyncio.Event()
        self.endless = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self.answers:
                await reader.readuntil(b"\r\n\r\n")
                answer = self.answers.pop(0)
                if answer is None:
                    break
                writer.write(answer)
                while self.endless:
                    writer.write(self.endless)
                    await writer.drain()
            writer.close()
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left.set()


@asynccontextmanager
async def peer(
    *answers: bytes | None, endless: bytes = b"", tls: ssl.SSLContext | None = None, name: str = "127.0.0.1"
) -> AsyncIterator[tuple[Peer, EngineHttp]]:
    playing = Peer(list(answers))
    playing.endless = endless
    server = await asyncio.start_server(playing.serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    http = EngineHttp(EngineSpec(1, "e", "openai", f"http{'s' if tls else ''}://{name}:{port}/v1"), TIMEOUTS)
    try:
        yield playing, http
    finally:
        await http.close()
        server.close()


async def failure(http: EngineHttp) -> FailureKind:
    with pytest.raises(EngineFailure) as caught:
        await http.read("POST", "/x", total=20)
    return caught.value.kind


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
        OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n",
        OK + b"".join(b"A%d: b\r\n" % n for n in range(300)) + b"\r\n",
        OK + b"A: \x00\r\n\r\n",
    ],
    ids=["not http", "upgrade", "two lengths", "length and chunks", "no chunk size", "many headers", "NUL"],
)
async def test_what_is_no_proper_answer_is_invalid(answer: bytes) -> None:
    async with peer(answer) as (_, http):
        assert await failure(http) is FailureKind.INVALID_ANSWER


@pytest.mark.parametrize(
    "beginning",
    [b"HTTP/1.1 200 ", OK + b"A: ", OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: "],
    ids=["reason", "header", "trailer"],
)
async def test_a_line_that_never_ends_is_not_collected_for_ever(beginning: bytes) -> None:
    async with peer(beginning, endless=b"x" * 10_000) as (playing, http):
        assert await failure(http) is FailureKind.INVALID_ANSWER
        await asyncio.wait_for(playing.left.wait(), 20)


async def test_answers_that_will_come_are_not_waited_for_for_ever() -> None:
    async with peer(b"", endless=b"HTTP/1.1 100 Continue\r\n\r\n" * 100) as (_, http):
        assert await failure(http) is FailureKind.INVALID_ANSWER


async def test_what_only_says_that_an_answer_will_come_is_passed_over() -> None:
    async with peer(b"HTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\n\r\n" + MEASURED) as (_, http):
        assert await http.read("POST", "/x") == b"ok"


async def test_an_answer_that_says_no_length_ends_with_its_connection_but_not_by_our_leaving() -> None:
    async with peer(b"HTTP/1.0 200 OK\r\n\r\nok") as (playing, http):
        assert await http.read("POST", "/x") == b"ok"
        playing.answers += [b"HTTP/1.0 200 OK\r\n\r\nhalf", b"never asked for"]
        with pytest.raises(EngineFailure):
            async with http.call("POST", "/x", silence=20) as answer:
                assert await answer.more() == b"half"
                await http.close()
                await answer.more()


async def test_what_nobody_asked_for_ends_a_connection() -> None:
    async with peer(MEASURED + MEASURED, MEASURED) as (playing, http):
        assert [await http.read("POST", "/x"), await http.read("POST", "/x")] == [b"ok", b"ok"]
        assert playing.connections == 2


async def test_what_only_reads_is_asked_again_when_a_kept_connection_is_closed_meanwhile() -> None:
    async with peer(MEASURED, None, MEASURED) as (playing, http):
        assert await http.read("GET", "/x") == b"ok"
        assert await http.read("GET", "/x") == b"ok"
        assert playing.connections == 2


async def test_what_does_work_is_not_asked_again() -> None:
    async with peer(MEASURED, None, MEASURED) as (playing, http):
        assert await http.read("POST", "/x") == b"ok"
        assert await failure(http) is FailureKind.CONNECTION
        assert playing.connections == 1


async def test_only_a_trusted_certificate_of_the_right_name_is_spoken_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls, trusted = certified(tmp_path, "localhost")
    async with peer(MEASURED, tls=tls, name="localhost") as (_, http):
        assert await failure(http) is FailureKind.CONNECTION
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    async with peer(MEASURED, tls=tls, name="localhost") as (_, http):
        assert await http.read("POST", "/x") == b"ok"
    async with peer(MEASURED, tls=tls, name="127.0.0.1") as (_, http):
        assert await failure(http) is FailureKind.CONNECTION


def test_a_stream_that_never_ends_is_not_collected_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_stream, "_LARGEST_STREAM", 1000)
    lines = EventLines()
    with pytest.raises(EngineFailure, match="too large"):
        for _ in range(200):
            lines.feed(b"data: x\n")
