"""How wide a data set may be, so that reading it stays within memory and describing it within a message."""

import unicodedata
from collections.abc import Iterable

from pydantic import Field

from contracts.base import Message, Refused
from contracts.pipeline import invalid_dataset


class Limits(Message):
    """Bounds of a data set.

    `max_row_bytes` bounds one row as the file writes it, `max_expanded_bytes` what a compressed file holds.
    """

    max_columns: int = Field(default=512, ge=1)
    max_column_names_bytes: int = Field(default=8 * 1024, ge=1)
    max_row_bytes: int = Field(default=4 * 1024 * 1024, ge=1)
    max_expanded_bytes: int = Field(default=8 << 30, ge=1)

    def check_columns(self, names: Iterable[str]) -> None:
        """Raises `Refused(DATASET_INVALID)` for too many columns and for names that no one could use."""
        columns = list(names)
        if len(columns) > self.max_columns:
            raise invalid_dataset(f"The file has more than {self.max_columns} columns")
        for number, name in enumerate(columns, 1):
            if any(unicodedata.category(character) == "Cc" for character in name):
                raise invalid_dataset(f"The name of column {number} holds control characters: {name!r}")
        if sum(len(name.encode()) for name in columns) > self.max_column_names_bytes:
            raise invalid_dataset(f"The names of the columns take more than {self.max_column_names_bytes} bytes")

    def too_wide(self, line: int | None = None) -> Refused:
        """The refusal of a row above `max_row_bytes`."""
        where = "A row" if line is None else f"The row on line {line}"
        return invalid_dataset(f"{where} is longer than {self.max_row_bytes} bytes", line=line)
