"""JSON of what others have sent, whatever numbers it has."""

from typing import Any

import orjson
from pydantic_core import to_json


def as_json(value: Any) -> bytes:
    """As orjson writes it, and integers of more than 64 bits too, which JSON may have and orjson refuses."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return to_json(value, inf_nan_mode="null")
