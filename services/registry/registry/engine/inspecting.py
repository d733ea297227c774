"""Reads a file through, once and in batches: format, analysis and first rows. Runs in a process of its own."""

from collections.abc import Iterator
from typing import BinaryIO

import polars as pl

from contracts.pipeline import DatasetFormat
from registry.domain.formats import HEAD_BYTES, detect_format
from registry.domain.inspections import Inspection
from registry.domain.limits import Limits
from registry.domain.samples import MAX_SAMPLES, samples_of
from registry.domain.summaries import NOTHING, analysis_of
from registry.engine.batches import Batch, Row
from registry.engine.delimited import read_delimited, read_text
from registry.engine.json_arrays import read_json
from registry.engine.json_lines import read_json_lines
from registry.engine.parquet import read_parquet


def inspect_file(file: BinaryIO, filename: str, stated: DatasetFormat | None, limits: Limits) -> Inspection:
    """What the seekable `file` holds. Memory stays at a batch, and 8 bytes a row to tell duplicates.

    Raises `Refused(DATASET_INVALID)`, saying what is wrong and where.
    """
    found = detect_format(file.read(HEAD_BYTES), filename, stated)
    file.seek(0)
    summary = NOTHING
    hashes: list[pl.Series] = []
    first: list[Row] = []
    for batch in _batches(file, found, limits):
        summary += batch.summary
        hashes.append(batch.hashes)
        first += batch.first(MAX_SAMPLES - len(first))
    duplicates = summary.rows - pl.concat(hashes).n_unique() if hashes else 0
    analysis = analysis_of(summary, found, duplicates)
    return Inspection(format=found, analysis=analysis, samples=samples_of(first))


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
