"""Why a change of a definition is refused."""

from collections.abc import Iterable, Sequence

from contracts.base import RefusalCode, Refused
from contracts.workflows import MOST_PAYLOADS

_SHOWN = 10


def in_use(noun: str, users_noun: str, users: Sequence[tuple[str, int]]) -> Refused:
    """`users` are names and ids."""
    named = ", ".join(f"{name} ({number})" for name, number in users[:_SHOWN])
    more = "" if len(users) <= _SHOWN else " and others"
    counted = f"{len(users)} {users_noun if len(users) > 1 else users_noun.removesuffix('s')}"
    message = f"The {noun} is used by {counted}: {named}{more}; with force=true it is taken out of them"
    return Refused(RefusalCode.CONFLICT, message, {users_noun: [number for _, number in users[:MOST_PAYLOADS]]})


def unknown(noun: str, ids: Iterable[int]) -> Refused:
    """References to what there is not. `noun` is the field that holds them, too."""
    listed = list(dict.fromkeys(ids))
    shown = ", ".join(map(str, listed[:_SHOWN])) + ("" if len(listed) <= _SHOWN else " and others")
    return Refused(RefusalCode.INVALID, f"Unknown {noun}: {shown}", {noun: listed})


def twice(noun: str, ids: Iterable[int]) -> Refused:
    listed = sorted(ids)
    shown = ", ".join(map(str, listed[:_SHOWN]))
    return Refused(RefusalCode.INVALID, f"Given more than once in {noun}: {shown}", {noun: listed})
