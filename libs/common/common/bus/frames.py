"""How answers and streamed frames look on the wire: a kind in one header, JSON in the body."""

from collections.abc import Hashable, Mapping, Sequence
from enum import StrEnum
from functools import cache
from typing import Any, cast

from pydantic import BaseModel, TypeAdapter, ValidationError

from contracts.base import ChunkT, Message, RefusalBody, RefusalCode, Refused
from contracts.topology import Header


class Frame(StrEnum):
    """What a reply is. A plain reply, or a list of chunks, carries no header at all, which keeps the hot path cheap."""

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


def answer_name(inbox: str) -> str:
    """What a long answer to that inbox is called by whoever asked and whoever works on it: one token of a subject."""
    return inbox.split(".", 1)[1].replace(".", "-")


def encode(message: BaseModel) -> bytes:
    # With its nulls: a field that is required but may be null (`step: ClaimedStep | None`) must arrive. As
    # `model_dump_json`, without the detour over text.
    return message.__pydantic_serializer__.to_json(message)


def encode_chunks(chunk: type[ChunkT], chunks: Sequence[ChunkT]) -> bytes:
    return _list_of(cast(Hashable, chunk)).dump_json(list(chunks))


def decode_chunks(chunk: type[ChunkT], data: bytes) -> list[ChunkT]:
    return _list_of(cast(Hashable, chunk)).validate_json(data)


@cache
def _list_of(chunk: Hashable) -> TypeAdapter[list[Any]]:
    return TypeAdapter(list[chunk])  # type: ignore[valid-type]


def room(max_payload: int) -> int:
    """Bytes of data that the server takes. A message above its limit would cost the whole connection."""
    return max_payload - _HEADERS


def refusal_in(headers: Mapping[str, str], data: bytes) -> Refused | None:
    """The refusal that a reply is, or None."""
    if headers.get(Header.FRAME) != Frame.REFUSED:
        return None
    body = RefusalBody.model_validate_json(data)
    return Refused(body.code, body.message, body.metadata)


def unavailable(owner: str) -> Refused:
    """Nobody of that service can be asked now."""
    return Refused(RefusalCode.UNAVAILABLE, f"The {owner} is not available at the moment")


def invalid(error: ValidationError, what: type[Message]) -> Refused:
    """A request that does not fit its contract, field by field."""
    errors = [
        {"field": ".".join(str(part) for part in e["loc"]), "message": e["msg"]}
        for e in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return Refused(RefusalCode.INVALID, f"{what.__name__} is not valid", {"errors": errors})
