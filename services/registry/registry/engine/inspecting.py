"""Reads a file through, once and some rows at a time: format, analysis and rows. Runs in a process of its own."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from common.datafiles.files import DataFile
from common.datafiles.parts import Part, Row
from contracts.pipeline import DatasetFormat
from registry.domain.inspections import Inspection
from registry.domain.pages import Mark, RowRange
from registry.domain.samples import MAX_SAMPLES, Json, samples_of
from registry.domain.summaries import NOTHING, analysis_of
from registry.engine.summarising import Looked, Summariser

_BETWEEN_MARKS = 4 * 1024 * 1024
"""Bytes of a file between two places from which its rows can be read."""


def inspect_file(file: DataFile, stated: DatasetFormat | None) -> Inspection:
    """What the file holds. Memory stays at some parts of it, and 8 bytes a row to tell duplicates.

    Raises `Refused(DATASET_INVALID)`, saying what is wrong and where.
    """
    with file.expanded() as plain:
        found = plain.format(stated)
        summary = NOTHING
        hashes: list[pl.Series] = []
        first: list[Row] = []
        marks: list[Mark] = []
        summariser = Summariser()

        def look(part: Part) -> tuple[Part, Looked]:
            return part, summariser.look(part)

        def view(columns: int) -> Sequence[pl.Expr]:
            return summariser.view(columns, whole=len(first) < MAX_SAMPLES)

        for part, looked in plain.each(found, look, view):
            if part.start is not None and not plain.compressed and _is_due(part.start, marks):
                marks.append(Mark(row=summary.rows, offset=part.start))
            summary += looked.summary
            hashes.append(looked.hashes)
            first += part.first(MAX_SAMPLES - len(first))
    duplicates = _repeated(pl.concat(hashes).to_numpy()) if hashes else 0
    analysis = analysis_of(summary, found, duplicates)
    return Inspection(
        format=found, compression=plain.compressed, analysis=analysis, samples=samples_of(first), marks=marks
    )


def read_rows(file: DataFile, format: DatasetFormat, wanted: RowRange) -> list[Json]:  # noqa: A002
    """Some rows of a file that has been inspected, as a preview shows them."""
    return samples_of(list(_rows(file, format, wanted)))


def read_column(file: DataFile, format: DatasetFormat, wanted: RowRange, column: str) -> list[Any]:  # noqa: A002
    """The values that some rows have in one column."""
    return [row.get(column) for row in _rows(file, format, wanted)]


def _rows(file: DataFile, format: DatasetFormat, wanted: RowRange) -> Iterator[Row]:  # noqa: A002
    passed, end = 0, wanted.skip + wanted.take
    with file.expanded() as plain:
        for part in plain.parts(format):
            if passed + part.rows > wanted.skip:
                yield from part.first(end - passed)[max(wanted.skip - passed, 0) :]
            passed += part.rows
            if passed >= end:
                return


def _repeated(hashes: npt.NDArray[np.uint64]) -> int:
    """How many are there already. NumPy sorts whole numbers several times as fast as a set of them is made."""
    in_order = np.sort(hashes)
    return int(np.count_nonzero(in_order[1:] == in_order[:-1]))


def _is_due(start: int, marks: list[Mark]) -> bool:
    return not marks or start - marks[-1].offset >= _BETWEEN_MARKS
