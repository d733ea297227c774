"""What JSON allows and Postgres does not keep as it is: refused from callers, mended in what workers report."""

from collections.abc import Iterator
from math import isfinite
from typing import Any

_LARGEST_INTEGER = 2**63 - 1
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def unstorable(value: Any, path: str) -> Iterator[dict[str, str]]:
    """The places under `path` where `value` cannot be kept, as `{"field", "message"}`."""
    if isinstance(value, dict):
        for key, item in value.items():
            if "\0" in key:
                yield {"field": path, "message": "names must not contain the character NUL"}
            yield from unstorable(item, f"{path}.{key}")
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from unstorable(item, f"{path}.{position}")
    elif isinstance(value, str) and "\0" in value:
        yield {"field": path, "message": "must not contain the character NUL"}
    elif isinstance(value, float) and not isfinite(value):
        yield {"field": path, "message": "must be a finite number"}
    elif isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        yield {"field": path, "message": "must be an integer of at most 64 bits"}


def mended(value: Any) -> Any:
    """`value` with what cannot be kept replaced, so that the report of a long piece of work is never lost to it."""
    if isinstance(value, dict):
        return {key.replace("\0", _REPLACEMENT): mended(item) for key, item in value.items()}
    if isinstance(value, list):
        return [mended(item) for item in value]
    if isinstance(value, str):
        return value.replace("\0", _REPLACEMENT)
    if isinstance(value, float) and not isfinite(value):
        return None
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        return float(value)
    return value
