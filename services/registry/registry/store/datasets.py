"""Data sets and their first rows."""

# ruff: noqa: S608 - statements are put together from constants of this file alone

from collections.abc import Collection
from typing import Any

from common.database import Connection, Record
from contracts.registry import (
    Dataset,
    DatasetAnalysis,
    DatasetVersion,
    ListDatasets,
    ModelOfDataset,
    RegisterDataset,
)
from registry.domain.inspections import Inspection
from registry.domain.pages import Mark
from registry.store import storable

_COLUMNS = "dataset_id, filename, version, format, compression, size_bytes, sha256, s3_path, analysis, created_at"


async def add(connection: Connection, upload: RegisterDataset, inspection: Inspection, sha256: str) -> Dataset:
    """Enters the data set, once, as the next version of its name. Needs a transaction.

    Another call's row of that id stays, and is returned, as is one of the same name and content.
    """
    # Whoever enters a file of this name takes the row of the name first, so one waits for the other.
    versions: int = await connection.fetchval(
        "INSERT INTO dataset_names AS name (filename, versions) VALUES ($1, 0)"
        " ON CONFLICT (filename) DO UPDATE SET versions = name.versions RETURNING versions",
        upload.filename,
    )
    known = await find(connection, upload.dataset_id) or await same(
        connection, upload.filename, sha256, inspection.format
    )
    if known is not None:
        return known
    row = await connection.fetchrow(
        "INSERT INTO datasets"
        " (dataset_id, filename, version, format, compression, size_bytes, sha256, s3_path, analysis)"
        f" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (dataset_id) DO NOTHING RETURNING {_COLUMNS}",
        upload.dataset_id,
        upload.filename,
        versions + 1,
        inspection.format,
        inspection.compression,
        upload.size_bytes,
        sha256,
        upload.s3_path,
        inspection.analysis.model_dump(),
    )
    if row is None:  # the same id at the same time, for a file of another name
        row = await connection.fetchrow(_BY_ID, upload.dataset_id)
        assert row is not None  # noqa: S101 - it was there a moment ago, and nobody can delete it that early
        return _dataset(row)
    await connection.execute(
        "UPDATE dataset_names SET versions = $2 WHERE filename = $1", upload.filename, versions + 1
    )
    await connection.execute(
        "INSERT INTO dataset_samples (dataset_id, samples, marks) VALUES ($1, $2, $3)",
        upload.dataset_id,
        inspection.samples,
        [mark.model_dump() for mark in inspection.marks],
    )
    return _dataset(row)


async def same(connection: Connection, filename: str, sha256: str, format: str | None) -> Dataset | None:  # noqa: A002
    """The newest data set of that name and content, and of that format where it matters."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM datasets WHERE filename = $1 AND sha256 = $2 AND ($3::text IS NULL OR format = $3)"
        " ORDER BY number DESC LIMIT 1",
        filename,
        sha256,
        format,
    )
    return None if row is None else _dataset(row)


async def find(connection: Connection, dataset_id: str) -> Dataset | None:
    row = await connection.fetchrow(_BY_ID, dataset_id) if storable(dataset_id) else None
    return None if row is None else _dataset(row)


async def newest(connection: Connection, asked: ListDatasets) -> tuple[list[Dataset], int]:
    """A page of those that fit what is asked for, the newest first, and how many there are in all."""
    texts = (asked.filename, asked.search, asked.format, asked.sha256 and asked.sha256.lower())
    if not all(storable(text) for text in texts if text is not None):
        return [], 0
    condition = (
        "($1::text IS NULL OR filename = $1) AND ($2::text IS NULL OR strpos(lower(filename), lower($2)) > 0)"
        " AND ($3::text IS NULL OR format = $3) AND ($4::text IS NULL OR sha256 = $4)"
    )
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM datasets WHERE {condition} ORDER BY number DESC LIMIT $5 OFFSET $6",
        *texts,
        asked.limit,
        asked.offset,
    )
    total: int = await connection.fetchval(f"SELECT count(*) FROM datasets WHERE {condition}", *texts)
    return [_dataset(row) for row in rows], total


async def samples(connection: Connection, dataset_id: str) -> tuple[list[dict[str, Any]], list[Mark]]:
    """The kept first rows of a data set, and where others begin in its file."""
    row = await connection.fetchrow("SELECT samples, marks FROM dataset_samples WHERE dataset_id = $1", dataset_id)
    return (row["samples"], [Mark.model_validate(mark) for mark in row["marks"]]) if row is not None else ([], [])


async def versions(connection: Connection, filename: str) -> list[DatasetVersion]:
    """Of one name, the newest first; 100 at most."""
    rows = await connection.fetch(
        "SELECT dataset_id, version, created_at FROM datasets WHERE filename = $1 ORDER BY version DESC LIMIT 100",
        filename,
    )
    return [DatasetVersion.model_validate(dict(row)) for row in rows]


async def models(connection: Connection, dataset_id: str) -> list[ModelOfDataset]:
    """Those that were trained on the data set, the newest first; 100 at most."""
    rows = await connection.fetch(
        "SELECT model_id, model_name, run_id FROM models WHERE dataset_id = $1 AND deleted_at IS NULL"
        " ORDER BY number DESC LIMIT 100",
        dataset_id,
    )
    return [ModelOfDataset.model_validate(dict(row)) for row in rows]


async def delete(connection: Connection, dataset_id: str, path: str) -> None:
    """Forgets the data set, and notes that what lies below `path` is to be removed. Needs a transaction."""
    await connection.execute("DELETE FROM datasets WHERE dataset_id = $1", dataset_id)
    await connection.execute("INSERT INTO freeing (path) VALUES ($1) ON CONFLICT DO NOTHING", path)


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
        version=row["version"],
        format=row["format"],
        compression=row["compression"],
        size_bytes=row["size_bytes"],
        sha256=row["sha256"],
        s3_path=row["s3_path"],
        rows=analysis.rows,
        columns=analysis.columns,
        analysis=analysis,
        created_at=row["created_at"],
    )
