"""What an uploaded file becomes: an id of its own and a name that is safe as part of a key."""

import re
import secrets

_UNSAFE = re.compile(r"[\x00-\x1f\x7f/\\]")
_MOST_CHARACTERS = 200
_LONGEST_EXTENSION = 16


def new_dataset_id() -> str:
    """Made before the upload starts, so that a registration which is repeated enters the data set once."""
    return f"ds_{secrets.token_hex(8)}"


def safe_filename(name: str) -> str:
    """The last part of a caller's file name, short enough and without characters that mean something in a path."""
    # A header may hold bytes that are no UTF-8; they arrive as surrogates, which no JSON can carry.
    text = name.encode(errors="replace").decode()
    base = _UNSAFE.sub("", re.split(r"[/\\]", text)[-1]).strip(" .")
    if len(base) > _MOST_CHARACTERS:
        stem, dot, extension = base.rpartition(".")
        tail = dot + extension if stem and len(extension) <= _LONGEST_EXTENSION else ""
        base = base[: _MOST_CHARACTERS - len(tail)] + tail
    return base or "dataset"
