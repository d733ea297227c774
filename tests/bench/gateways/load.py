"""`python -m tests.bench.gateways.load JOB`: asks over keep-alive connections, and prints what it saw as JSON.

A process of its own with a bare protocol, so that what is measured is the gateway and not the client.
"""

import asyncio
import sys
import time
from dataclasses import asdict, dataclass
from typing import cast
from urllib.parse import urlsplit

import orjson
import uvloop


@dataclass(frozen=True)
class Job:
    """`concurrency` callers, each with a connection of its own, for `seconds`."""

    url: str
    key: str
    body: str
    concurrency: int
    seconds: float


@dataclass(frozen=True)
class Seen:
    """Times in seconds; `first_error` is the beginning of an answer that was not 200."""

    requests: int
    errors: int
    seconds: float
    chunks: int
    p50: float
    p99: float
    first_error: str = ""


class _Caller(asyncio.Protocol):
    def __init__(self, request: bytes, until: float) -> None:
        self._request = request
        self._until = until
        self._buffer = bytearray()
        self._sent = 0.0
        self._transport: asyncio.Transport
        self.latencies: list[float] = []
        self.chunks = 0
        self.errors = 0
        self.first_error = ""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.errors += 1
            self.first_error = self.first_error or f"the connection was lost: {error}"
            self.done.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._is_whole():
            now = time.perf_counter()
            if self._buffer.startswith(b"HTTP/1.1 200"):
                self.latencies.append(now - self._sent)
                self.chunks += self._buffer.count(b"data: {")
            else:
                self.errors += 1
                self.first_error = self.first_error or self._buffer[:600].decode(errors="replace")
            self._buffer.clear()
            if now < self._until and self.errors < 20:
                self._ask()
            else:
                self.done.set_result(None)
                self._transport.close()

    def _is_whole(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self._buffer[:end]).lower()
        start = head.find(b"content-length:")
        if start >= 0:
            return len(self._buffer) >= end + 4 + int(head[start + 15 :].split(b"\r\n", 1)[0])
        return self._buffer.endswith(b"\r\n0\r\n\r\n")

    def _ask(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)


async def run(job: Job) -> Seen:
    place = urlsplit(job.url)
    head = (
        f"POST {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {job.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(job.body.encode())}\r\n\r\n"
    )
    started = time.perf_counter()
    loop = asyncio.get_running_loop()
    callers: list[_Caller] = []
    for _ in range(job.concurrency):
        _, caller = await loop.create_connection(
            lambda: _Caller((head + job.body).encode(), started + job.seconds), place.hostname, place.port
        )
        callers.append(caller)
    await asyncio.gather(*(caller.done for caller in callers))
    seconds = time.perf_counter() - started
    latencies = sorted(latency for caller in callers for latency in caller.latencies)
    return Seen(
        requests=len(latencies),
        errors=sum(caller.errors for caller in callers),
        seconds=seconds,
        chunks=sum(caller.chunks for caller in callers),
        p50=latencies[len(latencies) // 2] if latencies else 0.0,
        p99=latencies[int(len(latencies) * 0.99)] if latencies else 0.0,
        first_error=next((caller.first_error for caller in callers if caller.first_error), ""),
    )


if __name__ == "__main__":
    uvloop.install()
    print(orjson.dumps(asdict(asyncio.run(run(Job(**orjson.loads(sys.argv[1])))))).decode())
