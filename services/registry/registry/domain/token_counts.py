"""Which rows of a data set are looked at when its tokens are counted."""

from contracts.base import RefusalCode, Refused
from contracts.registry import Dataset
from registry.domain.pages import RowRange

_MOST_CHARACTERS = 20_000_000
"""What is tokenised in some seconds; what is beyond is estimated."""
_ROWS_OF_UNKNOWN_LENGTH = 20_000


def chosen_column(dataset: Dataset, asked: str | None) -> str:
    """The column to count: the one asked for, else the text column. Raises `Refused(CONFIG_INVALID)`."""
    column = asked or dataset.analysis.text_column
    if column is None or column not in dataset.columns:
        message = f"There is no column {column!r} of text; the data has {', '.join(dataset.columns)}"
        raise Refused(RefusalCode.CONFIG_INVALID, message, {"errors": [{"field": "column", "message": message}]})
    return column


def rows_to_count(dataset: Dataset) -> RowRange:
    """So many from the beginning that their text column holds about as much as is counted at all."""
    stats = dataset.analysis.stats
    rows = _ROWS_OF_UNKNOWN_LENGTH if stats is None else int(_MOST_CHARACTERS / max(stats.avg_length, 1))
    return RowRange(skip=0, take=min(max(rows, 1), dataset.rows))
