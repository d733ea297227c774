"""Which addresses a caller may point the platform at. Private ones would let a caller reach into the network."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from contracts.base import RefusalCode, Refused
from contracts.router import ProviderType

_NAT64 = IPv6Network("64:ff9b::/96")
"""Translates to any IPv4 address, private ones included."""


def parsed_api_base(api_base: str) -> SplitResult:
    """The parts of an engine's base URL, without a slash at the end; a bare host gets the usual `/v1`.

    Raises `Refused(INVALID)` for what is no plain http or https URL.
    """
    try:
        parts = urlsplit(api_base.strip())
        port = parts.port
        # As it is looked up: a name with a part of more than 63 letters cannot be.
        (parts.hostname or "").encode("idna")
    except ValueError:
        raise invalid_api_base("is not a valid URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise invalid_api_base("must start with http:// or https:// and name a host")
    if parts.username is not None or parts.password is not None:
        raise invalid_api_base("must not carry a user or a password; use auth_token")
    if parts.query or parts.fragment:
        raise invalid_api_base("must not have a query or a fragment")
    return parts._replace(netloc=parts.netloc.lower(), path=parts.path.rstrip("/") or "/v1")


def engine_base(api_base: str, provider_type: ProviderType) -> str:
    """The root of the engine's API as it is stored. Raises `Refused(INVALID)` as `parsed_api_base` does.

    KoboldAI's API is below the host itself: what people paste of its paths is taken off.
    """
    parts = parsed_api_base(api_base)
    if provider_type != "koboldai":
        return parts.geturl()
    path = parts.path
    for ending in ("/v1", "/api"):
        path = path.removesuffix(ending)
    return parts._replace(path=path).geturl()


def origin(api_base: str) -> tuple[str, str | None, int]:
    """Scheme, host and port: what a token may be sent to."""
    parts = urlsplit(api_base)
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def literal_address(host: str) -> IPv4Address | IPv6Address | None:
    """The address that `host` is, or None when it is a name."""
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is on the open internet, also where IPv6 only wraps an IPv4 one."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address.sixtofour is not None or address.teredo is not None or address in _NAT64:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def refused_address(host: str) -> Refused:
    return invalid_api_base(f"{host} is on a private network; only an administrator may point the platform there")


def invalid_api_base(why: str) -> Refused:
    return Refused(
        RefusalCode.INVALID, f"api_base {why}", {"errors": [{"field": "api_base", "message": f"api_base {why}"}]}
    )
