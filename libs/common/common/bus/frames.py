"""How answers and streamed frames look on the wire: a kind in one header, JSON in the body."""

from collections.abc import Mapping
from enum import StrEnum

from nats.aio.client import Client
from pydantic import BaseModel, ValidationError

from contracts.base import Message, RefusalBody, RefusalCode, Refused
from contracts.topology import Header


class Frame(StrEnum):
    """What a reply is. A plain reply or chunk carries no header at all, which keeps the hot path cheap."""

    REFUSED = "refused"
    FINAL = "final"
    PING = "ping"


CHUNKS = "Chunks"
"""Header of a final frame: how many chunks came before it, so that one lost on the way does not go unnoticed."""

NO_RESPONDERS = "503"
STATUS = "Status"
_HEADERS = 64 * 1024
"""Room for the headers of a message, in bytes: a principal that names many models is the longest."""

# Any contract may be refused for these: the bus itself raises them.
BUS_REFUSALS = frozenset(
    {
        RefusalCode.INVALID,
        RefusalCode.UNAVAILABLE,
        RefusalCode.TIMEOUT,
        RefusalCode.TOO_LARGE,
        RefusalCode.INTERNAL,
    }
)


def encode(message: BaseModel) -> bytes:
    # With its nulls: a field that is required but may be null (`step: ClaimedStep | None`) must arrive.
    return message.model_dump_json().encode()


def fits(data: bytes, client: Client) -> bool:
    """Whether the server takes it. One above its limit, which counts headers too, would cost the whole connection."""
    return len(data) + _HEADERS <= client.max_payload


def refusal_in(headers: Mapping[str, str] | None, data: bytes) -> Refused | None:
    """The refusal that a reply is, or None."""
    if not headers or headers.get(Header.FRAME) != Frame.REFUSED:
        return None
    body = RefusalBody.model_validate_json(data)
    return Refused(body.code, body.message, body.metadata)


def invalid(error: ValidationError, what: type[Message]) -> Refused:
    """A request that does not fit its contract, field by field."""
    errors = [
        {"field": ".".join(str(part) for part in e["loc"]), "message": e["msg"]}
        for e in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return Refused(RefusalCode.INVALID, f"{what.__name__} is not valid", {"errors": errors})
