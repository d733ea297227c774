"""Server-sent events, from bytes as they come (HTML Living Standard, 9.2.6)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

SILENCE = 60.0
"""Seconds after which a stream counts as lost: the platform fills its silences with comments far sooner."""
_END_OF_LINE = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True)
class ServerSent:
    """One event; `id` is the last that was given, None if none was."""

    event: str
    data: str
    id: str | None


class EventReader:
    """Cuts a stream into its events. What has no end yet is kept for later."""

    def __init__(self) -> None:
        self._rest = b""
        self._event = ""
        self._data: list[str] = []
        self._id: str | None = None

    def feed(self, data: bytes) -> Iterator[ServerSent]:
        *lines, self._rest = _END_OF_LINE.split(self._rest + data)
        if self._rest == b"" and data.endswith(b"\r"):
            # A line feed may follow, which belongs to it.
            self._rest = lines.pop() + b"\r"
        for line in lines:
            if line:
                self._take(line.decode(errors="replace"))
            elif self._data:
                yield ServerSent(self._event or "message", "\n".join(self._data), self._id)
                self._event, self._data = "", []
            else:
                self._event = ""

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._event = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._id = value
