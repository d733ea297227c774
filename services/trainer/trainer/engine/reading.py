"""Takes the file of a data set in, whatever its format, as a Parquet table in which every column is text.

Training sees text alone, so nothing is guessed: `007` stays `007`, and nested values become their JSON. The file is
read as the registry reads it; some rows of it are in memory at a time.
"""

import codecs
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl
from polars.io.plugins import register_io_source

from common.datafiles.files import DataFile
from common.datafiles.formats import PARQUET_MAGIC
from common.datafiles.limits import Limits
from common.datafiles.parts import Part, PlainRecords, Records, Table, Texts, as_json
from contracts.pipeline import DatasetFormat, invalid_dataset

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_CHUNK = 1 << 20
_ROW_GROUP = 5_000
_LEAST = Limits(max_columns=10_000, max_column_names_bytes=1 << 20, max_row_bytes=64 << 20)
"""What may be read whatever the registry's limits, which decide what is a data set."""


@dataclass(frozen=True)
class Taken:
    """The table that a file has become."""

    path: Path
    format: DatasetFormat
    rows: int
    columns: list[str]


def take_in(file: Path, name: str, stated: DatasetFormat | None, limits: Limits, folder: Path) -> Taken:
    """Writes the rows of `file`, which came under that `name`, into a table in `folder`. What is within the registry's
    `limits` is read.

    Raises `Refused(DATASET_INVALID)` when it is empty or broken, saying where.
    """
    with (
        file.open("rb") as reader,
        DataFile(reader, name, _widened(limits), folder=folder).expanded() as plain,
        _as_utf8(plain, folder) as readable,
    ):
        found = readable.format(stated)
        path = _written(map(_as_text, readable.parts(found)), folder)
    table = pl.scan_parquet(path)
    rows: int = table.select(pl.len()).collect().item()
    if rows == 0:
        raise invalid_dataset("The file has no rows")
    return Taken(path, found, rows, table.collect_schema().names())


def _widened(limits: Limits) -> Limits:
    return Limits(**{name: max(getattr(limits, name), least) for name, least in _LEAST})


@contextmanager
def _as_utf8(plain: DataFile, folder: Path) -> Iterator[DataFile]:
    """The file itself, or what it says in UTF-8: of UTF-16, which its mark tells, and of bytes that are no text, each
    of which becomes U+FFFD, which validation counts."""
    head = plain.file.read(4)
    encoding = "utf-16" if head.startswith(_UTF16) else "utf-8"
    plain.file.seek(0)
    if head == PARQUET_MAGIC or (encoding == "utf-8" and _is_utf8(plain.file)):
        yield plain
        return
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    with (folder / "readable").open("w+b") as text:
        while chunk := plain.file.read(_CHUNK):
            text.write(decoder.decode(chunk).encode())
        text.write(decoder.decode(b"", final=True).encode())
        text.seek(0)
        yield replace(plain, file=text)


def _is_utf8(file: BinaryIO) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while chunk := file.read(_CHUNK):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    finally:
        file.seek(0)
    return True


def _written(frames: Iterator[pl.DataFrame], folder: Path) -> Path:
    """One table of all frames. Those of JSON may gain columns on the way: each time a file of its own begins."""
    pieces: list[Path] = []
    for names, alike in groupby(_widening(frames), key=lambda frame: frame.columns):
        pieces.append(folder / f"piece-{len(pieces)}.parquet")
        _table(names, alike).sink_parquet(pieces[-1], row_group_size=_ROW_GROUP)
    if not pieces:
        raise invalid_dataset("The file has no rows")
    whole = folder / "data.parquet"
    if len(pieces) == 1:
        return Path(shutil.move(pieces[0], whole))
    pl.concat([pl.scan_parquet(piece) for piece in pieces], how="diagonal").sink_parquet(
        whole, row_group_size=_ROW_GROUP
    )
    return whole


def _widening(frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Each frame with the columns of all before it, so that there are at most as many kinds of frames as columns."""
    known: dict[str, None] = {}
    for frame in frames:
        known |= dict.fromkeys(frame.columns)
        if not frame.width:
            continue
        absent = [pl.lit(None, pl.String).alias(name) for name in known if name not in frame.columns]
        yield frame.with_columns(absent).select(list(known))


def _table(names: list[str], frames: Iterator[pl.DataFrame]) -> pl.LazyFrame:
    def source(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        return frames

    return register_io_source(source, schema=dict.fromkeys(names, pl.String), is_pure=False)


def _as_text(part: Part) -> pl.DataFrame:
    match part:
        case Texts():
            columns = dict(zip(part.names, part.frame.get_columns(), strict=True))
            return pl.DataFrame({name: column.set(column == "", None) for name, column in columns.items()})
        case Records():
            names = dict.fromkeys(name for record in part.records for name in record)
            return pl.DataFrame(
                {name: pl.Series([_text(row.get(name)) for row in part.records], dtype=pl.String) for name in names}
            )
        case PlainRecords():
            return pl.DataFrame({column.name: _json_column(column) for column in part.frame.get_columns()})
        case Table():
            return pl.DataFrame({column.name: _text_column(column) for column in part.frame.get_columns()})


def _json_column(column: pl.Series) -> pl.Series:
    """As its values are written in JSON."""
    if column.dtype == pl.Float64:
        return pl.Series(column.name, [_text(value) for value in column.to_list()], dtype=pl.String)
    return column.cast(pl.String)


def _text_column(column: pl.Series) -> pl.Series:
    if column.dtype == pl.String:
        return column
    if column.dtype.is_nested() or column.dtype == pl.Object:
        return pl.Series(column.name, [_text(value) for value in column.to_list()], dtype=pl.String)
    try:
        return column.cast(pl.String)
    except pl.exceptions.PolarsError:
        message = f"Column {column.name!r} holds {column.dtype}, which is not text"
        raise invalid_dataset(message) from None


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return as_json(value, default=str).decode()
