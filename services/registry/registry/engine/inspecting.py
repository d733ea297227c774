"""Reads a file through, once and in batches: format, analysis and rows. Runs in a process of its own."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import polars as pl

from common import compression
from contracts.pipeline import DatasetFormat
from contracts.registry import Compression
from registry.domain.formats import HEAD_BYTES, detect_format
from registry.domain.inspections import Inspection
from registry.domain.limits import Limits
from registry.domain.pages import Mark, RowRange
from registry.domain.refusals import invalid_dataset
from registry.domain.samples import MAX_SAMPLES, Json, samples_of
from registry.domain.summaries import NOTHING, analysis_of
from registry.engine.batches import Batch, Row
from registry.engine.delimited import read_delimited, read_text
from registry.engine.json_arrays import read_json
from registry.engine.json_lines import read_json_lines
from registry.engine.parquet import read_parquet

_BETWEEN_MARKS = 4 * 1024 * 1024
"""Bytes of a file between two places from which its rows can be read."""


def inspect_file(file: BinaryIO, filename: str, stated: DatasetFormat | None, limits: Limits) -> Inspection:
    """What the seekable `file` holds. Memory stays at some batches, and 8 bytes a row to tell duplicates.

    Raises `Refused(DATASET_INVALID)`, saying what is wrong and where.
    """
    with _plain(file, filename, limits) as (plain, name, packed):
        found = detect_format(plain.read(HEAD_BYTES), name, stated)
        plain.seek(0)
        summary = NOTHING
        hashes: list[pl.Series] = []
        first: list[Row] = []
        marks: list[Mark] = []
        for batch in _batches(plain, found, limits):
            if batch.start is not None and not packed and _is_due(batch.start, marks):
                marks.append(Mark(row=summary.rows, offset=batch.start))
            summary += batch.summary
            hashes.append(batch.hashes)
            first += batch.first(MAX_SAMPLES - len(first))
    duplicates = summary.rows - pl.concat(hashes).n_unique() if hashes else 0
    analysis = analysis_of(summary, found, duplicates)
    return Inspection(format=found, compression=packed, analysis=analysis, samples=samples_of(first), marks=marks)


def read_rows(
    file: BinaryIO,
    filename: str,
    format: DatasetFormat,  # noqa: A002
    limits: Limits,
    wanted: RowRange,
) -> list[Json]:
    """Some rows of a file that has been inspected, as a preview shows them."""
    return samples_of(list(_rows(file, filename, format, limits, wanted)))


def read_column(
    file: BinaryIO,
    filename: str,
    format: DatasetFormat,  # noqa: A002
    limits: Limits,
    wanted: RowRange,
    column: str,
) -> list[Any]:
    """The values that some rows have in one column."""
    return [row.get(column) for row in _rows(file, filename, format, limits, wanted)]


def _rows(
    file: BinaryIO,
    filename: str,
    format: DatasetFormat,  # noqa: A002
    limits: Limits,
    wanted: RowRange,
) -> Iterator[Row]:
    passed, end = 0, wanted.skip + wanted.take
    with _plain(file, filename, limits) as (plain, _, _):
        for batch in _batches(plain, format, limits):
            if passed + batch.summary.rows > wanted.skip:
                yield from batch.first(end - passed)[max(wanted.skip - passed, 0) :]
            passed += batch.summary.rows
            if passed >= end:
                return


def _is_due(start: int, marks: list[Mark]) -> bool:
    return not marks or start - marks[-1].offset >= _BETWEEN_MARKS


@contextmanager
def _plain(file: BinaryIO, filename: str, limits: Limits) -> Iterator[tuple[BinaryIO, str, Compression | None]]:
    """The file as it was before it was compressed, its name then, and how it was."""
    packed = compression.compression_of(file.read(4))
    file.seek(0)
    if packed is None:
        yield file, filename, None
        return
    suffix = PurePosixPath(filename.lower()).suffix
    name = filename[: -len(suffix)] if suffix in compression.SUFFIXES else filename
    with tempfile.TemporaryFile() as plain:
        try:
            for chunk in compression.expanded(file, packed, limits.max_expanded_bytes):
                plain.write(chunk)
        except compression.Damaged as error:
            raise invalid_dataset(f"The file is damaged {packed}: {error}") from None
        except compression.Endless:
            raise invalid_dataset(f"The file expands to more than {limits.max_expanded_bytes} bytes") from None
        plain.seek(0)
        yield plain, name, packed


def _batches(file: BinaryIO, format: DatasetFormat, limits: Limits) -> Iterator[Batch]:  # noqa: A002
    match format:
        case "csv":
            return read_delimited(file, limits)
        case "tsv":
            return read_delimited(file, limits, "\t")
        case "json":
            return read_json(file, limits)
        case "jsonl":
            return read_json_lines(file, limits)
        case "parquet":
            return read_parquet(file, limits)
        case "txt":
            return read_text(file, limits)
