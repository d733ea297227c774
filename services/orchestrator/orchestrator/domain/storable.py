"""What JSON allows and Postgres does not keep as it is: refused from callers, mended in what workers report.

Nor is what is nested deeply kept: readers of JSON give up at 200 levels, and the lists that show it add their own.
"""

from collections.abc import Iterator
from math import isfinite
from typing import Any

_LARGEST_INTEGER = 2**63 - 1
_MOST_LEVELS = 100
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def unstorable(value: Any, path: str) -> Iterator[dict[str, str]]:
    """The places under `path` where `value` cannot be kept, as `{"field", "message"}`."""
    if _is_deeper(value, _MOST_LEVELS):
        yield {"field": path, "message": f"must not be nested more than {_MOST_LEVELS} levels deep"}
    else:
        yield from _unstorable(value, path)


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    parts = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(part, levels - 1) for part in parts)


def _unstorable(value: Any, path: str) -> Iterator[dict[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            if "\0" in key:
                yield {"field": path, "message": "names must not contain the character NUL"}
            yield from _unstorable(item, f"{path}.{key}")
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _unstorable(item, f"{path}.{position}")
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
