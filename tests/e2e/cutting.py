"""A proxy that cuts connections in the middle, as networks do: by a reset, after so many bytes."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_PIECE = 1024
_RESET = struct.pack("ii", 1, 0)
"""`SO_LINGER` of no time: closing sends a reset."""


@dataclass
class Cutter:
    """Passes on what comes to `url`. Of its connections the next are cut: down after so many bytes of the answer, or up
    after so many of what is asked."""

    target: str
    _down: list[int] = field(default_factory=list)
    _up: list[int] = field(default_factory=list)
    cuts: int = 0
    """How many connections were cut."""

    def cut(self, *, down: tuple[int, ...] = (), up: tuple[int, ...] = ()) -> None:
        """The bytes after which the next connections are cut, one after another."""
        self._down, self._up, self.cuts = list(down), list(up), 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @contextmanager
    def listening(self) -> Iterator["Cutter"]:
        with socket.create_server(("127.0.0.1", 0)) as self._listener:
            threading.Thread(target=self._accept, daemon=True).start()
            yield self

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        parts = urlsplit(self.target)
        server = socket.create_connection((parts.hostname or "", parts.port or 0))
        up = self._up.pop(0) if self._up else None
        down = self._down.pop(0) if self._down else None
        threading.Thread(target=self._pump, args=(client, server, up), daemon=True).start()
        self._pump(server, client, down)

    def _pump(self, source: socket.socket, sink: socket.socket, most: int | None) -> None:
        """Until the source ends, or `most` bytes are through: then both ends are reset."""
        through = 0
        with suppress(OSError):
            while data := source.recv(_PIECE):
                if most is not None and through + len(data) >= most:
                    sink.sendall(data[: most - through])
                    self.cuts += 1
                    break
                through += len(data)
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                end.shutdown(socket.SHUT_RDWR)
            end.close()
