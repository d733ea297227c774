"""Chooses every port once per start, and again the same ones at the next start while they stay free.

Ports are taken below the range that the kernel hands to outgoing connections. Inside it, a client that reconnects to a
server which is being restarted can be given that very port, and keep the server from ever binding it again.
"""

import json
import random
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from embedded.errors import PortTaken
from embedded.files import write_atomically

LOWEST, HIGHEST = 10_000, 21_999
GRPC_OFFSET = 10_000
"""SeaweedFS listens for gRPC at each of its HTTP ports plus this, and expects that of its peers."""
_PORTS = TypeAdapter(dict[str, int])


@dataclass(frozen=True)
class PortRequest:
    """A port that is needed. `setting` demands a number, `preferred` only asks for it."""

    name: str
    setting: int = 0
    preferred: int = 0
    variable: str = ""
    with_grpc: bool = False

    def needs(self, port: int) -> set[int]:
        """Everything that is listened on where it is given `port`."""
        return {port, port + GRPC_OFFSET} if self.with_grpc else {port}

    def fits(self, port: int, taken: set[int]) -> bool:
        needed = self.needs(port)
        return needed.isdisjoint(taken) and all(_is_free(each) for each in needed)


def choose(requests: list[PortRequest], memory: Path) -> Mapping[str, int]:
    """A port for each request by its name; free ones are remembered in the file `memory`.

    Raises PortTaken when a demanded port is not free.
    """
    remembered = _recalled(memory)
    chosen: dict[str, int] = {}
    taken: set[int] = set()
    # One random place to start from, not one a port: two platforms that start at once rarely overlap then.
    search = random.SystemRandom().randint(LOWEST, HIGHEST - 1000)
    for request in sorted(requests, key=lambda r: not r.setting):
        port = request.setting
        if port and not request.fits(port, taken):
            raise PortTaken(_explain(request))
        for wished in (request.preferred, remembered.get(request.name, 0)):
            if not port and wished and request.fits(wished, taken):
                port = wished
        if not port:
            while not request.fits(search, taken):
                search = search + 1 if search < HIGHEST else LOWEST
            port = search
        chosen[request.name] = port
        taken |= request.needs(port)
    write_atomically(memory, json.dumps(chosen, indent=2), mode=0o600)
    return chosen


def _recalled(memory: Path) -> dict[str, int]:
    try:
        return _PORTS.validate_json(memory.read_bytes())
    except (FileNotFoundError, ValidationError):
        # Other ports serve as well.
        return {}


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _explain(request: PortRequest) -> str:
    return (
        f"port {request.setting} for {request.name} is taken: another program listens there. "
        f"Stop it, or choose another with {request.variable}=<port>."
    )
