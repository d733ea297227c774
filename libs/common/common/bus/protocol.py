"""NATS's protocol as bytes: what is sent, and what arrives cut into its messages. No I/O.

Source: https://docs.nats.io/reference/reference-protocols/nats-protocol
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

PING = b"PING\r\n"
PONG = b"PONG\r\n"

_END = b"\r\n"
_VERSION = "NATS/1.0"
_CONTROLS = frozenset(("INFO", "PING", "PONG", "+OK", "-ERR"))
_LONGEST_LINE = 1024 * 1024
"""Of a control line; INFO, with the addresses of a large cluster, is the longest."""


class ProtocolError(Exception):
    """What arrived is not NATS's protocol."""


class Message:
    """A message as it arrived. Its headers are read only when somebody asks for them."""

    __slots__ = ("_head", "_headers", "data", "reply", "subject")

    def __init__(self, subject: str, reply: str, head: bytes, data: bytes) -> None:
        self.subject = subject
        self.reply = reply
        self.data = data
        self._head = head
        self._headers: Mapping[str, str] | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """A status of the server's, such as 503 for no responders, stands under `Status`."""
        if self._headers is None:
            self._headers = _read_headers(self._head) if self._head else {}
        return self._headers


class Control(NamedTuple):
    """Anything else: `INFO`, `PING`, `PONG`, `+OK` or `-ERR`, and the rest of its line."""

    name: str
    rest: bytes


def publish_frame(subject: str, payload: bytes, reply: str, headers: Mapping[str, str] | None) -> bytes:
    """The command that publishes; `reply` may be empty."""
    if not headers:
        return b"PUB %s %s %d\r\n%s\r\n" % (subject.encode(), reply.encode(), len(payload), payload)
    head = _write_headers(headers)
    sizes = len(head), len(head) + len(payload)
    return b"HPUB %s %s %d %d\r\n%s%s\r\n" % (subject.encode(), reply.encode(), *sizes, head, payload)


def subscribe_frame(subject: str, queue: str, number: int) -> bytes:
    return f"SUB {subject} {queue} {number}\r\n".encode()


def unsubscribe_frame(number: int) -> bytes:
    return b"UNSUB %d\r\n" % number


class Parser:
    """Cuts a stream of bytes into messages, however they arrive."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._needed = 0

    def feed(self, data: bytes) -> Iterator[tuple[int, Message] | Control]:
        """What `data` completes: messages with the number of their subscription, and control lines, in order."""
        if self._rest:
            self._rest += data
            # A large payload comes in many parts, which are looked at only once they are all there.
            if len(self._rest) < self._needed:
                return
            data = bytes(self._rest)
            self._rest.clear()
        start, size = 0, len(data)
        while start < size:
            end = data.find(_END, start)
            if end < 0:
                if size - start > _LONGEST_LINE:
                    raise ProtocolError("a line that never ends")
                self._keep(data[start:], 0)
                return
            line = data[start:end]
            kind = line[:4]
            if kind == b"MSG ":
                head, total = 0, int(line[line.rindex(b" ") :])
            elif kind == b"HMSG":
                _, first, second = line.rsplit(b" ", 2)
                head, total = int(first), int(second)
            else:
                start = end + 2
                yield _control(line)
                continue
            body = end + 2
            after = body + total + 2
            if after > size:
                self._keep(data[start:], after - start)
                return
            start = after
            yield _message(line, data[body : body + head], data[body + head : body + total])

    def _keep(self, data: bytes, needed: int) -> None:
        self._rest += data
        self._needed = needed


def _message(line: bytes, head: bytes, data: bytes) -> tuple[int, Message]:
    """`MSG <subject> <number> [reply] <size>`; HMSG has the size of its headers before the whole."""
    words = line.decode().split()
    has_reply = len(words) == (6 if head else 5)
    return int(words[2]), Message(words[1], words[3] if has_reply else "", head, data)


def _control(line: bytes) -> Control:
    name, _, rest = line.partition(b" ")
    word = name.decode(errors="replace").upper()
    if word not in _CONTROLS:
        raise ProtocolError(f"an unknown command: {word[:20]}")
    return Control(word, rest)


def _write_headers(headers: Mapping[str, str]) -> bytes:
    lines = [_VERSION]
    for name, value in headers.items():
        line = f"{name}: {value}"
        lines.append(line if line.isprintable() else " ".join(line.splitlines()))
    lines.append("\r\n")
    return "\r\n".join(lines).encode()


def _read_headers(head: bytes) -> dict[str, str]:
    first, *lines = head.decode(errors="replace").split("\r\n")
    headers: dict[str, str] = {}
    if status := first[len(_VERSION) :].strip():
        headers["Status"] = status[:3]
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers[name] = value.strip()
    return headers
