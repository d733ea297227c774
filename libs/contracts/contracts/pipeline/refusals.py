"""How a data set is refused, by whoever reads it."""

from contracts.base import RefusalCode, Refused

FILE = "file"
"""The field of document E's upload that carries the data."""


def invalid_dataset(message: str, *, field: str = FILE, line: int | None = None) -> Refused:
    """A data set that cannot be entered. `field` is the upload's field to blame, `line` the file's line (1-based)."""
    place = {} if line is None else {"line": line}
    return Refused(RefusalCode.DATASET_INVALID, message, {"errors": [{"field": field, "message": message}], **place})
