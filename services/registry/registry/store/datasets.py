"""Data sets and their first rows."""

# ruff: noqa: S608 - statements are put together from constants of this file alone

from collections.abc import Collection
from typing import Any

from common.database import Connection, Record
from contracts.registry import Dataset, DatasetAnalysis, RegisterDataset
from registry.domain.inspections import Inspection
from registry.store import storable

_COLUMNS = "dataset_id, filename, format, size_bytes, sha256, s3_path, analysis, created_at"


async def add(connection: Connection, upload: RegisterDataset, inspection: Inspection) -> Dataset:
    """Enters the data set, once: another call's row of that id stays, and is returned. Needs a transaction."""
    row = await connection.fetchrow(
        "INSERT INTO datasets (dataset_id, filename, format, size_bytes, sha256, s3_path, analysis)"
        f" VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (dataset_id) DO NOTHING RETURNING {_COLUMNS}",
        upload.dataset_id,
        upload.filename,
        inspection.format,
        upload.size_bytes,
        upload.sha256.lower(),
        upload.s3_path,
        inspection.analysis.model_dump(),
    )
    if row is None:
        row = await connection.fetchrow(_BY_ID, upload.dataset_id)
        assert row is not None  # noqa: S101 - data sets are never deleted
        return _dataset(row)
    await connection.execute(
        "INSERT INTO dataset_samples (dataset_id, samples) VALUES ($1, $2)", upload.dataset_id, inspection.samples
    )
    return _dataset(row)


async def find(connection: Connection, dataset_id: str) -> Dataset | None:
    row = await connection.fetchrow(_BY_ID, dataset_id) if storable(dataset_id) else None
    return None if row is None else _dataset(row)


async def newest(connection: Connection, limit: int, offset: int) -> tuple[list[Dataset], int]:
    """A page, the newest first, and how many there are in all."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM datasets ORDER BY number DESC LIMIT $1 OFFSET $2",
        limit,
        offset,
    )
    total: int = await connection.fetchval("SELECT count(*) FROM datasets")
    return [_dataset(row) for row in rows], total


async def samples(connection: Connection, dataset_id: str) -> tuple[list[dict[str, Any]], int] | None:
    """The kept first rows of a data set, and how many rows it has."""
    if not storable(dataset_id):
        return None
    row = await connection.fetchrow(
        "SELECT samples, (analysis ->> 'rows')::bigint AS rows"
        " FROM datasets JOIN dataset_samples USING (dataset_id) WHERE dataset_id = $1",
        dataset_id,
    )
    return None if row is None else (row["samples"], row["rows"])


async def known(connection: Connection, dataset_ids: Collection[str]) -> set[str]:
    """Those of `dataset_ids` that are entered."""
    rows = await connection.fetch("SELECT dataset_id FROM datasets WHERE dataset_id = ANY($1::text[])", dataset_ids)
    return {row["dataset_id"] for row in rows}


_BY_ID = f"SELECT {_COLUMNS} FROM datasets WHERE dataset_id = $1"


def _dataset(row: Record) -> Dataset:
    analysis = DatasetAnalysis.model_validate(row["analysis"])
    return Dataset(
        dataset_id=row["dataset_id"],
        filename=row["filename"],
        format=row["format"],
        size_bytes=row["size_bytes"],
        sha256=row["sha256"],
        s3_path=row["s3_path"],
        rows=analysis.rows,
        columns=analysis.columns,
        analysis=analysis,
        created_at=row["created_at"],
    )
