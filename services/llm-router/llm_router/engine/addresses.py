"""Host names and the addresses behind them, for engines that a caller chose."""

import asyncio
import socket
from ipaddress import ip_address
from urllib.parse import urlsplit

from llm_router.domain.addresses import invalid_api_base, is_public, literal_address, refused_address


async def refuse_private(api_base: str) -> None:
    """Raises `Refused(INVALID)` when the host of `api_base` is, or has, an address on a private network."""
    host = urlsplit(api_base).hostname or ""
    if (literal := literal_address(host)) is not None:
        if not is_public(literal):
            raise refused_address(host)
        return
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        raise invalid_api_base(f"names a host that is not known: {host}") from None
    if not all(is_public(ip_address(str(address[0]).partition("%")[0])) for *_, address in found):
        raise refused_address(host)


async def public_addresses(host: str, port: int) -> list[str]:
    """The public addresses of a host, now: what a name means can change after it was checked. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(address[0]) for *_, address in found]
    public = [address for address in addresses if is_public(ip_address(address.partition("%")[0]))]
    if not public:
        raise OSError(f"{host} has no public address")
    return public
