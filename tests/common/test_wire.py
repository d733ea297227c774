"""The connection to NATS against a server that a test makes slow, or takes away at the worst moment."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from common.bus import BusDown
from common.bus import wire as wire_module
from common.bus.posting import Poster
from common.bus.wire import Login, Wire
from tests.certificates import certified

INFO = b'INFO {"max_payload":1048576,"headers":true}\r\n'


class Nats:
    """Answers pings, and keeps what it is sent in `seen`, while it reads."""

    def __init__(self) -> None:
        self.seen = bytearray()
        self.reads = asyncio.Event()
        self.reads.set()
        self.peers: list[asyncio.StreamWriter] = []
        self.tls: ssl.SSLContext | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"nats://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        self._server.close()
        self.drop()

    def drop(self) -> None:
        """Breaks off all connections."""
        while self.peers:
            self.peers.pop().transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peers.append(writer)
        writer.write(INFO)
        if self.tls is not None:
            try:
                await writer.start_tls(self.tls)
            except OSError:
                return
        tail = b""
        while data := await self._read(reader):
            self.seen += data
            tail += data
            writer.write(b"PONG\r\n" * tail.count(b"PING\r\n"))
            tail = tail[tail.rfind(b"\n") + 1 :][-16:]

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        await self.reads.wait()
        try:
            return await reader.read(65536)
        except ConnectionError:
            return b""


@pytest.fixture
async def nats() -> AsyncIterator[Nats]:
    nats = Nats()
    await nats.start()
    yield nats
    await nats.stop()


@pytest.fixture
async def wire(nats: Nats) -> AsyncIterator[Wire]:
    wire = await Wire.connect(Login([nats.url], "test"), patience=10)
    yield wire
    await wire.close()


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 - nothing tells a caller when
            await asyncio.sleep(0)  # Some moments last for one turn of the loop.


async def fill(nats: Nats, wire: Wire) -> None:
    """Sends until nothing more leaves."""
    nats.reads.clear()
    while wire.is_idle:
        wire.publish("filling", b"x" * 500_000)
        await asyncio.sleep(0)


async def test_what_is_sent_in_the_moment_of_a_loss_is_kept_and_nobody_waits_for_ever(nats: Nats, wire: Wire) -> None:
    link = wire._link
    assert link is not None
    nats.drop()
    await until(link._lost.done)
    # The connection is gone, and whoever looks after it has not been told yet.
    wire.publish("meanwhile", b"kept")
    with pytest.raises(BusDown):
        async with asyncio.timeout(5):
            await wire.flush()
    await until(lambda: b"PUB meanwhile" in nats.seen)


async def test_a_flush_does_not_overtake_what_waits_for_a_slow_network(nats: Nats, wire: Wire) -> None:
    await fill(nats, wire)
    wire.publish("last", b"")
    flushing = asyncio.create_task(wire.flush())
    await asyncio.sleep(0)
    nats.reads.set()
    async with asyncio.timeout(10):
        await flushing
    assert 0 < nats.seen.find(b"PUB last") < nats.seen.rfind(b"PING")


async def test_too_much_that_waits_is_refused_and_remembered_nowhere(
    nats: Nats, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(nats, wire)
    wire.publish("waiting", b"")
    monkeypatch.setattr(wire_module, "_MOST_WAITING", 10)
    poster = Poster(wire, "inbox")
    for _ in range(3):
        with pytest.raises(BusDown):
            poster.post("subject", b"x", {})
        with pytest.raises(BusDown):
            poster.post_late("subject", lambda: b"x", {})
    assert not poster._waiting


async def test_a_message_whose_headers_are_too_large_costs_no_connection(wire: Wire) -> None:
    with pytest.raises(BusDown, match="too large"):
        wire.publish("subject", b"", headers={"A": "x" * wire.max_payload})


async def test_a_server_that_falls_silent_is_left(nats: Nats, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_module, "_PING_SECONDS", 0.05)
    wire = await Wire.connect(Login([nats.url], "test"), patience=10)
    nats.reads.clear()
    await until(lambda: not wire.is_connected)
    nats.reads.set()
    await until(lambda: wire.is_connected)
    await wire.close()


async def test_what_was_subscribed_and_sent_while_away_is_there_in_order_once_it_is_back(
    nats: Nats, wire: Wire
) -> None:
    wire.subscribe("kept", lambda _: None, queue="group")
    left = wire.subscribe("left", lambda _: None)
    await wire.flush()
    nats.drop()
    await until(lambda: not wire.is_connected)
    nats.seen.clear()
    wire.unsubscribe(left)
    wire.publish("a", b"1")
    wire.subscribe("new", lambda _: None)
    wire.publish("b", b"2")
    await until(lambda: b"PUB b" in nats.seen)
    order = [nats.seen.find(part) for part in (b"SUB kept group 1", b"SUB new  3", b"PUB a", b"PUB b")]
    assert order == sorted(order)
    assert -1 not in order
    assert b"left" not in nats.seen


async def test_only_a_trusted_certificate_of_the_right_name_is_spoken_to(
    nats: Nats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nats.tls, trusted = certified(tmp_path, "localhost")

    async def refused(host: str) -> None:
        with pytest.raises(TimeoutError):
            await Wire.connect(Login([f"tls://{host}:{nats.port}"], "test", "name", "secret"), patience=0.5)

    await refused("localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    await refused("127.0.0.1")
    assert b"secret" not in nats.seen
    wire = await Wire.connect(Login([f"tls://localhost:{nats.port}"], "test", "name", "secret"), patience=10)
    wire.publish("a", b"x" * 500_000)
    await wire.flush()
    assert b'"secret"' in nats.seen
    assert nats.seen.count(b"x" * 500_000) == 1
    await wire.close()
