"""Reads a data set's file, whatever its format, into one table in which every column is text.

Training sees text alone, so nothing is guessed: `007` stays `007`, and nested values become their JSON.
"""

import codecs
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from common import compression
from contracts.base import RefusalCode, Refused
from contracts.pipeline import SUFFIXES, DatasetFormat

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_HEAD = 64 * 1024
_MOST_BYTES = 8 << 30
"""What a compressed file may expand to: as much as the registry takes."""
_SEPARATORS = (",", ";", "\t", "|")


def unpacked(file: Path, name: str, folder: Path) -> tuple[Path, str]:
    """The file as it was before it was compressed, and its name then. Raises `Refused(DATASET_INVALID)`."""
    with file.open("rb") as reader:
        packed = compression.compression_of(reader.read(4))
        if packed is None:
            return file, name
        reader.seek(0)
        plain = folder / "unpacked"
        try:
            with plain.open("wb") as writer:
                writer.writelines(compression.expanded(reader, packed, _MOST_BYTES))
        except compression.Damaged as error:
            raise _broken(f"The file is damaged {packed}: {error}") from None
        except compression.Endless:
            raise _broken(f"The file expands to more than {_MOST_BYTES} bytes") from None
    suffix = Path(name.lower()).suffix
    return plain, name[: -len(suffix)] if suffix in compression.SUFFIXES else name


def detect_format(file: Path, name: str) -> DatasetFormat:
    """The format by the file's content where that is plain, else by the ending of `name`, else by a first look."""
    with file.open("rb") as reader:
        head = reader.read(_HEAD)
    if head.startswith(b"PAR1"):
        return "parquet"
    named = SUFFIXES.get(Path(name.lower()).suffix)
    start = _text(head).lstrip()
    if named == "json" or (named is None and start[:1] in ("{", "[")):
        return "jsonl" if _starts_with_json_line(start) else "json"
    if named is not None:
        return named
    header = start.split("\n", 1)[0]
    return "tsv" if "\t" in header else "csv" if "," in header else "txt"


def read_table(file: Path, format: DatasetFormat) -> pl.DataFrame:  # noqa: A002 - the contract's word
    """The rows of `file`. Raises `Refused(DATASET_INVALID)` when it is empty or broken, saying where."""
    if file.stat().st_size == 0:
        raise _broken("The file is empty")
    match format:
        case "parquet":
            table = _read_parquet(file)
        case "csv" | "tsv":
            table = _read_delimited(file, format)
        case "json":
            table = _from_json(_text(file.read_bytes()))
        case "jsonl":
            table = _from_records(_json_lines(_text(file.read_bytes())))
        case "txt":
            # At line feeds alone, as the registry counts rows: Unicode knows other ends of lines, which texts may hold.
            lines = [line.rstrip("\r") for line in _checked_text(file).split("\n") if line.strip()]
            table = pl.DataFrame({"text": lines}, schema={"text": pl.String})
    if table.width == 0 or table.height == 0:
        raise _broken("The file has no rows")
    return table


def _broken(message: str) -> Refused:
    return Refused(RefusalCode.DATASET_INVALID, message)


def _text(data: bytes) -> str:
    """Decodes UTF-8 or, after its mark, UTF-16. Bytes that are neither become U+FFFD, which validation counts."""
    if data.startswith(_UTF16):
        return data.decode("utf-16", errors="replace")
    return data.decode("utf-8-sig", errors="replace")


def _checked_text(file: Path) -> str:
    data = file.read_bytes()
    if not data.startswith(_UTF16) and b"\0" in data[:_HEAD]:
        raise _broken("The file is not text: it holds zero bytes")
    return _text(data)


def _starts_with_json_line(start: str) -> bool:
    line, _, rest = start.partition("\n")
    try:
        return isinstance(orjson.loads(line), dict) and bool(rest.strip())
    except orjson.JSONDecodeError:
        return False


def _read_delimited(file: Path, format: DatasetFormat) -> pl.DataFrame:  # noqa: A002
    text = _checked_text(file)
    header = text.lstrip().split("\n", 1)[0]
    separator = "\t" if format == "tsv" else max(_SEPARATORS, key=header.count)
    try:
        return pl.read_csv(io.BytesIO(text.encode()), separator=separator, infer_schema=False)
    except pl.exceptions.NoDataError:
        raise _broken("The file has no rows") from None
    except pl.exceptions.PolarsError as error:
        reason = str(error).split("\n", 1)[0]
        raise _broken(f"The file is not valid {format.upper()}: {reason}") from None


def _read_parquet(file: Path) -> pl.DataFrame:
    try:
        table = pl.read_parquet(file)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).split("\n", 1)[0]
        raise _broken(f"The file is not valid PARQUET: {reason}") from None
    return table.select(_as_text(column) for column in table.get_columns())


def _as_text(column: pl.Series) -> pl.Series:
    if column.dtype == pl.String:
        return column
    if column.dtype.is_nested() or column.dtype == pl.Object:
        return pl.Series(column.name, [_to_text(value) for value in column.to_list()], dtype=pl.String)
    try:
        return column.cast(pl.String)
    except pl.exceptions.PolarsError:
        raise _broken(f"Column {column.name!r} holds {column.dtype}, which is not text") from None


def _json_lines(text: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield f"line {number}", orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise _broken(f"The file is not valid JSONL: line {number}: {error.msg}") from None


def _from_json(text: str) -> pl.DataFrame:
    """A list of objects, an object that holds one under any name, or an object of equally long columns."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _broken(f"The file is not valid JSON: line {error.lineno}: {error.msg}") from None
    if isinstance(value, dict):
        columns = {name: part for name, part in value.items() if isinstance(part, list)}
        lengths = {len(part) for part in columns.values()}
        if len(columns) == 1:
            value = next(iter(columns.values()))
        elif len(columns) == len(value) and len(lengths) == 1:
            value = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if not isinstance(value, list):
        raise _broken("The JSON holds no list of rows")
    return _from_records((f"row {number}", row) for number, row in enumerate(value, 1))


def _from_records(records: Iterator[tuple[str, Any]]) -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    for place, record in records:
        row = {"text": record} if isinstance(record, str) else record
        if not isinstance(row, dict):
            raise _broken(f"The file is not a list of objects: {place} is {type(record).__name__}")
        rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row)
    return pl.DataFrame([pl.Series(name, [_to_text(row.get(name)) for row in rows], dtype=pl.String) for name in names])


def _to_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(value, default=str).decode()
