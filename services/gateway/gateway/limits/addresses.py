"""Where a request comes from, behind the proxies that are trusted to say so."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from aiohttp import web

Network = IPv4Network | IPv6Network

_SITE_BITS = 64
"""A site holds a whole IPv6 network of this prefix, so an address within it tells nobody apart."""


class Proxies:
    """The networks whose word in `X-Forwarded-For` is taken."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = tuple(trusted)

    def origin(self, request: web.Request) -> str:
        """The nearest address that is no trusted proxy's: what stands before it anyone can write."""
        peer = request.remote or ""
        if self._trusted and self._is_trusted(peer):
            hops = [hop.strip() for line in request.headers.getall("X-Forwarded-For", []) for hop in line.split(",")]
            for hop in reversed(hops):
                if _parsed(hop) is None:
                    break
                peer = hop
                if not self._is_trusted(hop):
                    break
        return _site(peer)

    def is_https(self, request: web.Request) -> bool:
        """Whether the browser speaks TLS, here or with a trusted proxy."""
        if self._trusted and self._is_trusted(request.remote or ""):
            return request.headers.get("X-Forwarded-Proto", request.scheme).lower() == "https"
        return request.secure

    def _is_trusted(self, text: str) -> bool:
        address = _parsed(text)
        return address is not None and any(address in network for network in self._trusted)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _site(text: str) -> str:
    address = _parsed(text)
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ip_network((address, _SITE_BITS), strict=False))
    return text
