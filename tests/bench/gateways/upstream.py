"""`python -m tests.bench.gateways.upstream PORT`: answers every chat completion alike, as cheaply as Python can.

It must never be what is measured: no framework, no parsing of JSON, one write per answer or streamed chunk.
"""

import asyncio
import sys
from itertools import chain
from typing import cast

import orjson
import uvloop

CHUNKS = 50
"""Of a streamed answer."""
MODEL = "fixed"

_REPLY = {
    "id": "chatcmpl-fixed",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": MODEL,
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "The quick brown fox jumps over the lazy dog. " * 4},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 64, "completion_tokens": 40, "total_tokens": 104},
}
_MODELS = {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "bench"}]}


def _answer(value: object) -> bytes:
    body = orjson.dumps(value)
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def _piece(data: bytes) -> bytes:
    event = b"data: %s\n\n" % data
    return b"%x\r\n%s\r\n" % (len(event), event)


def _chunk(delta: dict[str, str], finish_reason: str | None = None, **fields: object) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    whole = {"id": "chatcmpl-fixed", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": MODEL}
    return _piece(orjson.dumps(whole | {"choices": [choice]} | fields))


_WHOLE = _answer(_REPLY)
_LIST = _answer(_MODELS)
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_STREAM = (
    *chain(
        (_chunk({"role": "assistant", "content": "The"}),),
        (_chunk({"content": f" word{i}"}) for i in range(CHUNKS - 2)),
        (_chunk({}, "stop", usage=_REPLY["usage"]),),
    ),
    _piece(b"[DONE]") + b"0\r\n\r\n",
)


class Upstream(asyncio.Protocol):
    """One connection; requests come one after another on it."""

    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            start = head.find(b"content-length:")
            length = int(head[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
            total = end + 4 + length
            if len(self._buffer) < total:
                return
            body, self._buffer = self._buffer[end + 4 : total], self._buffer[total:]
            self._respond(head, body)

    def _respond(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"get"):
            self._transport.write(_LIST)
        elif b'"stream":true' in body or b'"stream": true' in body:
            self._transport.write(_STREAM_HEAD)
            self._stream(0)
        else:
            self._transport.write(_WHOLE)

    def _stream(self, index: int) -> None:
        # A chunk each turn of the loop, so that they leave apart as an engine's tokens do.
        if not self._transport.is_closing():
            self._transport.write(_STREAM[index])
            if index + 1 < len(_STREAM):
                asyncio.get_running_loop().call_soon(self._stream, index + 1)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
