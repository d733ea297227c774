"""Uploads that can be resumed."""

# ruff: noqa: S608 - statements are put together from constants of this file alone

from typing import Any

from common.database import Connection, Record
from gateway.domain.resumable import Upload

_COLUMNS = (
    "dataset_id, owner, filename, format, length, s3_upload, parts, tail, tail_bytes, fence, status, became, refusal,"
    " expires_at"
)


async def add(
    connection: Connection,
    dataset_id: str,
    owner: str,
    filename: str,
    format: str | None,  # noqa: A002
    length: int,
    seconds: float,
) -> Upload:
    row = await connection.fetchrow(
        "INSERT INTO uploads (dataset_id, owner, filename, format, length, expires_at)"
        f" VALUES ($1, $2, $3, $4, $5, clock_timestamp() + make_interval(secs => $6)) RETURNING {_COLUMNS}",
        dataset_id,
        owner,
        filename,
        format,
        length,
        seconds,
    )
    assert row is not None  # noqa: S101 - the id is new
    return _upload(row)


async def find(connection: Connection, dataset_id: str) -> Upload | None:
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM uploads WHERE dataset_id = $1 AND expires_at > clock_timestamp()", dataset_id
    )
    return None if row is None else _upload(row)


async def claim(connection: Connection, dataset_id: str) -> Upload | None:
    """The upload, under a new fence: whoever sent bytes of it before is overtaken. None where no more bytes are wanted:
    one that is whole is left as it is, so that whoever asks does not put off its being entered."""
    row = await connection.fetchrow(
        "UPDATE uploads SET fence = fence + 1, changed_at = clock_timestamp()"
        " WHERE dataset_id = $1 AND status = 'receiving' AND expires_at > clock_timestamp()"
        f" RETURNING {_COLUMNS}",
        dataset_id,
    )
    return None if row is None else _upload(row)


async def began(connection: Connection, upload: Upload, s3_upload: str) -> bool:
    return await _change(connection, upload, "s3_upload = $3", s3_upload)


async def add_part(connection: Connection, upload: Upload, tag: str) -> bool:
    """False when the upload has been overtaken; so do the others say it."""
    change = "parts = parts || $3::text, tail = NULL, tail_bytes = 0"
    return await _change(connection, upload, change, tag)


async def set_tail(connection: Connection, upload: Upload, tail: str, size: int) -> bool:
    return await _change(connection, upload, "tail = $3, tail_bytes = $4", tail, size)


async def stored(connection: Connection, upload: Upload) -> bool:
    return await _change(connection, upload, "status = 'stored', tail = NULL, tail_bytes = 0")


async def settle(connection: Connection, dataset_id: str, became: str | None, refusal: dict[str, Any] | None) -> None:
    """What the registry answered."""
    await connection.execute(
        "UPDATE uploads SET status = CASE WHEN $2::text IS NULL THEN 'refused' ELSE 'entered' END, became = $2,"
        " refusal = $3, changed_at = clock_timestamp() WHERE dataset_id = $1 AND status = 'stored'",
        dataset_id,
        became,
        refusal,
    )


async def unsettled(connection: Connection, part_bytes: int, seconds: float) -> list[Upload]:
    """Whole ones of whose end their gateway has not told for so long, taken over by this call."""
    rows = await connection.fetch(
        "UPDATE uploads SET changed_at = clock_timestamp() WHERE dataset_id IN (SELECT dataset_id FROM uploads"
        " WHERE (status = 'stored' OR status = 'receiving' AND cardinality(parts) * $2::bigint >= length)"
        " AND changed_at < clock_timestamp() - make_interval(secs => $1)"
        f" LIMIT 10 FOR UPDATE SKIP LOCKED) RETURNING {_COLUMNS}",
        seconds,
        part_bytes,
    )
    return [_upload(row) for row in rows]


async def expired(connection: Connection) -> list[Upload]:
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM uploads WHERE expires_at < clock_timestamp() AND status <> 'stored' LIMIT 100"
    )
    return [_upload(row) for row in rows]


async def end(connection: Connection, dataset_id: str) -> None:
    """From now on nobody can add to it."""
    await connection.execute(
        "UPDATE uploads SET expires_at = clock_timestamp(), fence = fence + 1 WHERE dataset_id = $1", dataset_id
    )


async def forget(connection: Connection, dataset_id: str) -> None:
    await connection.execute("DELETE FROM uploads WHERE dataset_id = $1", dataset_id)


async def _change(connection: Connection, upload: Upload, change: str, *values: Any) -> bool:
    done: str = await connection.execute(
        f"UPDATE uploads SET {change}, changed_at = clock_timestamp() WHERE dataset_id = $1 AND fence = $2",
        upload.dataset_id,
        upload.fence,
        *values,
    )
    return done != "UPDATE 0"


def _upload(row: Record) -> Upload:
    return Upload(**{**row, "parts": tuple(row["parts"])})
