"""Compressed files, and pages of any."""

import gzip
import io
import json
from collections.abc import Callable

import polars as pl
import pytest
import zstandard

from common.datafiles import blocks, json_blocks
from common.datafiles.files import DataFile
from common.datafiles.limits import Limits
from contracts.base import Refused
from contracts.pipeline import DatasetFormat
from registry.domain.pages import RowRange, excerpt
from registry.engine import inspecting
from registry.engine.inspecting import inspect_file, read_rows
from tests.registry.files import LIMITS, inspect, parquet


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
@pytest.mark.parametrize("name", ["data.csv", "data.csv.gz", "data.csv.zst", "data"])
def test_a_compressed_file_is_read_as_what_it_holds(pack: Callable[[bytes], bytes], name: str) -> None:
    found = inspect_file(DataFile(io.BytesIO(pack(b"text,n\nhello,1\nhi,2\n")), name, LIMITS), None)
    assert (found.format, found.analysis.rows, found.marks) == ("csv", 2, [])
    assert found.compression == ("gzip" if pack is gzip.compress else "zstd")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (gzip.compress(b"a,b\n1,2\n")[:-6], "damaged gzip"),
        (zstandard.compress(b"a,b\n1,2\n")[:-2], "damaged zstd"),
        (gzip.compress(gzip.compress(b"a,b\n1,2\n")), "gzip archive"),
        (gzip.compress(b""), "empty"),
        (gzip.compress(b"a\n" + b"0\n" * 600), "expands to more than 1000 bytes"),
    ],
    ids=["cut gzip", "cut zstd", "packed twice", "nothing", "expands too far"],  # gzip's bytes hold the time
)
def test_a_compressed_file_that_is_no_data_set_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(Refused, match=why):
        inspect_file(DataFile(io.BytesIO(data), "a.csv.gz", Limits(max_expanded_bytes=1000)), None)


@pytest.mark.parametrize("format_", ["csv", "jsonl", "txt", "json", "parquet"])
@pytest.mark.parametrize(("skip", "take"), [(0, 3), (4_999, 2), (9_000, 100), (12_345, 100), (19_990, 100)])
def test_any_page_of_rows_can_be_read(
    format_: DatasetFormat, skip: int, take: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a part of the file, where rows can be found in it."""
    monkeypatch.setattr(inspecting, "_BETWEEN_MARKS", 30_000)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 20_000)
    monkeypatch.setattr(json_blocks, "BLOCK_BYTES", 20_000)
    rows = [{"text": f'row {number}, "quoted"'} for number in range(20_000)]
    data = {
        "csv": b"\xef\xbb\xbf" + pl.DataFrame(rows).write_csv().encode(),
        "txt": "\n".join(row["text"] for row in rows).encode(),
        "jsonl": "\n".join(json.dumps(row) for row in rows).encode(),
        "json": json.dumps(rows).encode(),
        "parquet": parquet(pl.DataFrame(rows), row_group_size=3_000),
    }[format_]
    marks = inspect(data, format_).marks
    part = excerpt(marks, len(data), RowRange(skip=skip, take=take))
    fetched = b"".join(data[start : start + length] for start, length in part.parts)
    assert (
        read_rows(DataFile(io.BytesIO(fetched), f"a.{format_}", LIMITS), format_, part.rows) == rows[skip : skip + take]
    )
    if format_ in ("csv", "jsonl", "txt"):
        assert len(fetched) < len(data) / 2
