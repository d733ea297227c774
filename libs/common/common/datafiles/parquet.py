"""Parquet, row group by row group."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import polars as pl

from common.datafiles.limits import Limits
from common.datafiles.parts import PART_ROWS, Part, Table
from contracts.pipeline import invalid_dataset


def read_parquet(file: BinaryIO, limits: Limits) -> Iterator[Part]:
    """Raises `Refused(DATASET_INVALID)` when the file is damaged. A file that expands without end meets the memory
    limit of the process that reads it."""
    with _damage():
        table = pl.scan_parquet(file)
        schema = table.collect_schema()
        limits.check_columns(schema.names())
        # Their codes differ from batch to batch, and so would the hashes of equal rows.
        coded = [name for name, dtype in schema.items() if dtype in (pl.Categorical, pl.Enum)]
        batches = iter(table.cast(dict.fromkeys(coded, pl.String)).collect_batches(chunk_size=PART_ROWS))
    while (frame := _next(batches)) is not None:
        _check_width(frame, limits)
        yield Table(frame)


def _next(batches: Iterator[pl.DataFrame]) -> pl.DataFrame | None:
    with _damage():
        return next(batches, None)


@contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        reason = str(error).split("\n", 1)[0]
        raise invalid_dataset(f"The file is not valid Parquet: {reason}") from None


def _check_width(frame: pl.DataFrame, limits: Limits) -> None:
    sizes = frame.select(pl.col(pl.String).str.len_bytes().max(), pl.col(pl.Binary).bin.size().max())
    if any(size is not None and size > limits.max_row_bytes for row in sizes.rows() for size in row):
        raise limits.too_wide()
